"""The plots of what networks do inside, the network's own beside the reference's: variances, spectra, confidence, attention."""

import base64
import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from core.figures.drawing import BLUE, GRAY, GREEN, ORANGE, draw_line, new_figure
from core.summary_statistics import FittedLine

MIN_EIGENVALUE_SHARE = 1e-9
"""Smaller eigenvalues are rounding errors."""
NETWORK_STYLES = {"network": ("network", BLUE), "reference": ("teacher or reference", ORANGE)}


def variance_gap(found: dict[str, Any]) -> Figure:
    """Robust accuracy over the gap, a point for each radius, with the fitted line and r (Figs. 1 and 5 of the paper)."""
    made, every = new_figure(columns=2, width=8.4)
    for axes, (key, label) in zip(
        every, (("features", "features"), ("gram", "Gram matrices")), strict=True
    ):
        for name in (name for name in NETWORK_STYLES if name in found):
            title, colour = NETWORK_STYLES[name]
            points = [point for point in found[name]["points"] if point[key] is not None]
            gaps, line = [point[key] for point in points], found[name]["lines"][key]
            r = "" if line is None else f", r = {line['r']:.2f}"
            axes.plot(
                gaps,
                [100 * point["accuracy"] for point in points],
                "o",
                ms=5,
                color=colour,
                label=f"{title}{r}",
            )
            if line is not None:
                draw_line(axes, FittedLine(**line), gaps, colour, "")
        axes.set(
            title=label, xlabel="variance gap, %", ylabel="accuracy under PGD-20, %", ylim=(0, 105)
        )
        axes.legend()
    return made


def spectra(found: dict[str, Any]) -> Figure:
    made, every = new_figure(columns=2, width=8.4)
    for axes, (key, label) in zip(
        every, (("features", "joint covariance"), ("gram", "Gram matrix")), strict=True
    ):
        for name in (name for name in NETWORK_STYLES if found.get(name, {}).get(key, {}).get("eigenvalues")):
            values = np.asarray(found[name][key]["eigenvalues"])
            rank = found[name][key]["effective_rank"]
            share = values / max(values.sum(), 1e-30)
            share = share[share > MIN_EIGENVALUE_SHARE]
            title = f"{NETWORK_STYLES[name][0]}, rank {rank:.1f}"
            axes.semilogy(
                np.arange(1, len(share) + 1), share, ".-", ms=3, color=NETWORK_STYLES[name][1], label=title
            )
        axes.set(title=label, xlabel="eigenvalue, the largest first", ylabel="share of the trace")
        if axes.lines:
            axes.legend()
    return made


def calibration(found: dict[str, Any]) -> Figure:
    made, every = new_figure(columns=2, width=8.4)
    for axes, (key, label) in zip(
        every, (("clean", "clean"), ("adversarial", "under PGD-20")), strict=True
    ):
        bins = found[key]
        kept = [index for index, count in enumerate(bins["count"]) if count]
        axes.plot([0, 1], [0, 1], "--", color=GRAY, lw=1)
        axes.bar(
            [bins["confidence"][index] for index in kept],
            [bins["accuracy"][index] for index in kept],
            width=0.8 / len(bins["count"]),
            color=BLUE,
        )
        axes.set(
            title=f"{label}: ECE {bins['ece']:.3f}",
            xlabel="confidence",
            ylabel="accuracy",
            xlim=(0, 1),
            ylim=(0, 1),
        )
    return made


def grad_cam(found: dict[str, Any]) -> Figure:
    """A row for each image; clean, then attacked, with what each network looks at laid over it."""
    rows = found["rows"]
    names = [name for name in ("reference", "network") if name in rows[0]]
    titles = ["clean"] + [
        f"{'teacher' if name == 'reference' else 'student'}, {kind}"
        for name in names
        for kind in ("clean", "attacked")
    ]
    made, every = new_figure(len(titles), len(rows), width=1.7 * len(titles), height=1.75 * len(rows))
    for index, row in enumerate(rows):
        cells = every[index * len(titles) : (index + 1) * len(titles)]
        _draw_image(cells[0], row["png_clean"], None, None)
        for number, name in enumerate(names):
            it = row[name]
            right = [it[f"predicted_{kind}"] == row["label"] for kind in ("clean", "adversarial")]
            _draw_image(cells[1 + 2 * number], row["png_clean"], it["png_map_clean"], right[0])
            _draw_image(
                cells[2 + 2 * number], it["png_adversarial"], it["png_map_adversarial"], right[1]
            )
    for axes, title in zip(every, titles, strict=False):
        axes.set_title(title, fontsize=9)
    return made


def _draw_image(axes: Axes, png: str, heat: str | None, right: bool | None) -> None:
    image = _decode_png(png)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, 1, 0, 1))
    if heat is not None:
        axes.imshow(
            _decode_png(heat),
            cmap="inferno",
            alpha=0.55,
            vmin=0,
            vmax=1,
            extent=(0, 1, 0, 1),
            interpolation="bicubic",
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(right is not None)
        spine.set_color(GREEN if right else ORANGE)
        spine.set_linewidth(2.5)


def _decode_png(png: str) -> Any:
    return imread(io.BytesIO(base64.b64decode(png)), format="png")
