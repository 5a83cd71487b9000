"""The style of all figures. The same data gives the same bytes."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.summary_statistics import FittedLine

# From the palette of Okabe and Ito, which color-blind readers can distinguish.
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
GRAY = "#6b7280"
PALETTE = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", "#e69f00", GRAY)
STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
    # A fixed salt: SVG ids are random otherwise.
    "svg.hashsalt": "distill",
    "svg.fonttype": "path",
}


def apply_style() -> AbstractContextManager[None]:
    """Return a context in which everything is drawn in the style."""
    return mpl.rc_context(STYLE)


def new_figure(
    columns: int = 1, rows: int = 1, width: float = 5.2, height: float = 3.4
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row. Width and height are in inches."""
    with apply_style():
        # Without pyplot, whose state is shared by all threads.
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
    return figure, [axes for row in grid for axes in row]


def render(figure: Figure) -> dict[str, bytes]:
    """Return ``{"svg": …, "png": …}``."""
    svg = io.BytesIO()
    png = io.BytesIO()
    with apply_style():
        # Without dates and versions, which would make the bytes differ.
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return {"svg": svg.getvalue(), "png": png.getvalue()}


def render_files(name: str, figure: Figure) -> dict[str, bytes]:
    """Return the content of NAME.svg and NAME.png by file name."""
    return {f"{name}.{suffix}": content for suffix, content in render(figure).items()}


def draw_line(axes: Axes, line: FittedLine, xs: Sequence[float], color: str, label: str) -> None:
    """Draw a fitted line over the range of ``xs``."""
    ends = [min(xs), max(xs)]
    ys = [line.slope * x + line.intercept for x in ends]
    axes.plot(ends, ys, "--", lw=1.2, color=color, label=label)
