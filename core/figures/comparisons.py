"""Figures over several networks or jobs, from their numbers: a scatter with its fitted line, curves over a setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from core.figures.drawing import GREY, PALETTE, figure, formats, styled
from core.summary_statistics import Line, fitted


@dataclass(frozen=True)
class Point:
    """``label`` is written beside it; points of one ``group`` have one colour, and a place in the legend."""

    label: str
    x: float
    y: float
    group: str = ""


def scatter_with_fit(points: Sequence[Point], *, x: str, y: str) -> dict[str, bytes]:
    """``{"svg": …, "png": …}``: the points, and the line of least squares through all of them with Pearson's r (Figs. 1 and 5).

    ``x`` and ``y`` title the axes.
    """
    with styled():
        made, (axes,) = figure()
        _scatter(axes, points)
        xs = [point.x for point in points]
        line = fitted(xs, [point.y for point in points])
        if line is not None:
            draw_line(axes, line, xs, GREY, f"r = {line.r:.2f}")
        axes.set(xlabel=x, ylabel=y)
        axes.margins(0.1)
        _legend(axes)
        return formats(made)


def _scatter(axes: Axes, points: Sequence[Point]) -> None:
    for index, group in enumerate(dict.fromkeys(point.group for point in points)):
        its = [point for point in points if point.group == group]
        axes.plot(
            [it.x for it in its],
            [it.y for it in its],
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
            color=GREY,
        )


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend()


def draw_line(axes: Axes, line: Line, xs: Sequence[float], colour: str, label: str) -> None:
    ends = [min(xs), max(xs)]
    axes.plot(
        ends,
        [line.slope * each + line.intercept for each in ends],
        "--",
        lw=1.2,
        color=colour,
        label=label,
    )


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str
) -> dict[str, bytes]:
    """``{"svg": …, "png": …}``: a curve for each name, through its (x, y) from left to right (Fig. 3a over beta)."""
    with styled():
        made, (axes,) = figure()
        _draw_curves(axes, series)
        axes.set(xlabel=x, ylabel=y)
        _legend(axes)
        return formats(made)


def _draw_curves(axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    for index, (name, pairs) in enumerate(series.items()):
        ordered = sorted(pairs)
        colour = PALETTE[index % len(PALETTE)]
        axes.plot(
            [it for it, _ in ordered],
            [it for _, it in ordered],
            "o-",
            ms=4,
            color=colour,
            label=name,
        )
