"""One look for all figures, and the same bytes for the same data."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.summary_statistics import FittedLine

BLUE, ORANGE, GREEN, GRAY = "#0072b2", "#d55e00", "#009e73", "#6b7280"
"""Of Okabe and Ito's palette: told apart by colour-blind readers, too."""
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
    "svg.hashsalt": "distill",
    "svg.fonttype": "path",
}


def apply_style() -> AbstractContextManager[None]:
    """While open, whatever is drawn has the style."""
    return mpl.rc_context(STYLE)


def new_figure(
    columns: int = 1, rows: int = 1, width: float = 5.2, height: float = 3.4
) -> tuple[Figure, list[Axes]]:
    """Without pyplot, whose state is shared by all threads."""
    with apply_style():
        made = Figure(figsize=(width, height), layout="constrained")
        axes = made.subplots(rows, columns, squeeze=False)
    return made, [each for row in axes for each in row]


def render(made: Figure) -> dict[str, bytes]:
    """``{"svg": …, "png": …}``."""
    svg, png = io.BytesIO(), io.BytesIO()
    with apply_style():
        made.savefig(svg, format="svg", metadata={"Date": None})
        made.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return {"svg": svg.getvalue(), "png": png.getvalue()}


def render_files(name: str, made: Figure) -> dict[str, bytes]:
    return {f"{name}.{ending}": content for ending, content in render(made).items()}


def draw_line(axes: Axes, line: FittedLine, xs: Sequence[float], colour: str, label: str) -> None:
    ends = [min(xs), max(xs)]
    axes.plot(
        ends,
        [line.slope * each + line.intercept for each in ends],
        "--",
        lw=1.2,
        color=colour,
        label=label,
    )
