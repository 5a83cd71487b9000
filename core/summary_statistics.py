"""Statistics of plain numbers, without torch: how far an accuracy can be trusted, and a line through points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959964
"""95 % of a normal distribution lie within so many standard deviations."""


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was found among ``count`` (Wilson, 1927): right for shares near 0 and 1, too."""
    spread = Z_95**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def standard_error(share: float, count: int) -> float:
    """Of a share that was found among ``count``: that of Wilson's interval, which is not 0 where nothing was found."""
    low, high = wilson_interval(share, count)
    return (high - low) / (2 * Z_95)


@dataclass(frozen=True)
class FittedLine:
    """y = slope x + intercept by least squares; ``r`` is Pearson's correlation."""

    slope: float
    intercept: float
    r: float


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> FittedLine | None:
    """None of fewer than three points, and where all have one x or one y."""
    if len(xs) < 3:
        return None
    x_mean, y_mean = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    xx = math.fsum((x - x_mean) ** 2 for x in xs)
    yy = math.fsum((y - y_mean) ** 2 for y in ys)
    xy = math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    if xx <= 0 or yy <= 0:
        return None
    slope = xy / xx
    return FittedLine(slope, y_mean - slope * x_mean, max(-1.0, min(1.0, xy / math.sqrt(xx * yy))))
