"""Figures over several jobs: a scatter plot with a fitted line, and curves over a setting.

They have the look of the figures in the service's reports, and the same data gives the same bytes.
"""

import io
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GRAY = "#6b7280"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", GRAY)
"""Okabe and Ito's palette, which color-blind readers can tell apart, and gray."""

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "distill",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Point:
    """One point of a scatter plot, with its label beside it.

    The points of one ``group`` have one color, and one entry in the legend.
    """

    label: str
    x: float
    y: float
    group: str = ""


@dataclass(frozen=True)
class FittedLine:
    """y = slope x + intercept; ``r`` is Pearson's correlation."""

    slope: float
    intercept: float
    r: float


def scatter_with_fit(points: Sequence[Point], *, x: str, y: str) -> dict[str, bytes]:
    """Draw points and the least-squares line through all of them (Figs. 1 and 5).

    ``x`` and ``y`` are the titles of the axes. Returns ``{"svg": …, "png": …}``.
    """
    with _style():
        figure = _new_figure()
        axes = figure.subplots()
        _draw_points(axes, points)
        line = fit_line([point.x for point in points], [point.y for point in points])
        if line is not None:
            _draw_line(axes, line, [point.x for point in points])
        axes.set(xlabel=x, ylabel=y)
        axes.margins(0.1)
        _draw_legend(axes)
        return _render(figure)


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str
) -> dict[str, bytes]:
    """Draw a curve for each name, through its pairs (x, y) from left to right (Fig. 3a).

    ``x`` and ``y`` are the titles of the axes. Returns ``{"svg": …, "png": …}``.
    """
    with _style():
        figure = _new_figure()
        axes = figure.subplots()
        for index, (name, pairs) in enumerate(series.items()):
            points = sorted(pairs)
            axes.plot(
                [point[0] for point in points],
                [point[1] for point in points],
                "o-",
                ms=4,
                color=PALETTE[index % len(PALETTE)],
                label=name,
            )
        axes.set(xlabel=x, ylabel=y)
        _draw_legend(axes)
        return _render(figure)


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> FittedLine | None:
    """Return the least-squares line.

    None for fewer than three points, and for points that share one x or one y.
    """
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
    # Rounding may carry the correlation just beyond 1.
    r = max(-1.0, min(1.0, xy / math.sqrt(xx * yy)))
    return FittedLine(slope, y_mean - slope * x_mean, r)


def _style() -> AbstractContextManager[None]:
    """Return a context in which everything is drawn with STYLE."""
    return mpl.rc_context(STYLE)


def _new_figure() -> Figure:
    # Without pyplot, whose state is shared by all threads.
    return Figure(figsize=(5.2, 3.4), layout="constrained")


def _draw_points(axes: Axes, points: Sequence[Point]) -> None:
    for index, group in enumerate(dict.fromkeys(point.group for point in points)):
        members = [point for point in points if point.group == group]
        axes.plot(
            [point.x for point in members],
            [point.y for point in members],
            "o",
            ms=5,
            color=PALETTE[index % len(PALETTE)],
            label=group or None,
        )
    for point in points:
        axes.annotate(
            point.label,
            (point.x, point.y),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
            color=GRAY,
        )


def _draw_line(axes: Axes, line: FittedLine, xs: Sequence[float]) -> None:
    ends = [min(xs), max(xs)]
    axes.plot(
        ends,
        [line.slope * x + line.intercept for x in ends],
        "--",
        lw=1.2,
        color=GRAY,
        label=f"r = {line.r:.2f}",
    )


def _draw_legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend()


def _render(figure: Figure) -> dict[str, bytes]:
    """Return the figure as SVG and PNG, without the time or the version of matplotlib."""
    svg = io.BytesIO()
    png = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return {"svg": svg.getvalue(), "png": png.getvalue()}
