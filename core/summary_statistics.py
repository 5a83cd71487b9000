"""Intervals of accuracies and fitted lines, of plain numbers, without torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959964
"""95 % of a normal distribution lie within this many standard deviations."""


def wilson_interval(share: float, count: int, z: float = Z_95) -> tuple[float, float]:
    """Return the interval of a share of ``count`` (Wilson, 1927), valid near 0 and 1, too.

    Its level is 95 %, or that of which ``z`` is the two-sided normal quantile.
    """
    spread = z**2 / count
    center = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, center - half), min(1.0, center + half)


def standard_error(share: float, count: int) -> float:
    """Return the standard error of a share of ``count``.

    It is taken from Wilson's interval, and so is above 0 for shares of 0 and 1, too.
    """
    low, high = wilson_interval(share, count)
    return (high - low) / (2 * Z_95)


@dataclass(frozen=True)
class FittedLine:
    """y = slope x + intercept by least squares; ``r`` is Pearson's correlation."""

    slope: float
    intercept: float
    r: float


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> FittedLine | None:
    """Fit a line; None for fewer than three points, or if all have the same x or the same y."""
    if len(xs) < 3:
        return None
    x_mean = math.fsum(xs) / len(xs)
    y_mean = math.fsum(ys) / len(ys)
    xx = math.fsum((x - x_mean) ** 2 for x in xs)
    yy = math.fsum((y - y_mean) ** 2 for y in ys)
    xy = math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    if xx <= 0 or yy <= 0:
        return None
    slope = xy / xx
    r = max(-1.0, min(1.0, xy / math.sqrt(xx * yy)))  # rounding may lead beyond 1
    return FittedLine(slope, y_mean - slope * x_mean, r)
