"""Plots of a network beside its reference: variances, spectra, confidence, attention."""

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


def variance_gap(result: dict[str, Any]) -> Figure:
    """Robust accuracy over the variance gap, a point for each radius (Figs. 1 and 5)."""
    figure, panels = new_figure(columns=2, width=8.4)
    statistics = {"features": "features", "gram": "Gram matrices"}
    for axes, (key, title) in zip(panels, statistics.items(), strict=True):
        for name, (role, color) in NETWORK_STYLES.items():
            if name not in result:
                continue
            points = [point for point in result[name]["points"] if point[key] is not None]
            gaps = [point[key] for point in points]
            accuracies = [100 * point["accuracy"] for point in points]
            line = result[name]["lines"][key]
            label = role if line is None else f"{role}, r = {line['r']:.2f}"
            axes.plot(gaps, accuracies, "o", ms=5, color=color, label=label)
            if line is not None:
                draw_line(axes, FittedLine(**line), gaps, color, "")
        axes.set(
            title=title,
            xlabel="variance gap, %",
            ylabel="accuracy under PGD-20 in L∞, %",
            ylim=(0, 105),
        )
        axes.legend()
    return figure


def spectra(result: dict[str, Any]) -> Figure:
    """Eigenvalues of joint covariance and Gram matrix, as shares of the trace."""
    figure, panels = new_figure(columns=2, width=8.4)
    matrices = {"features": "joint covariance", "gram": "Gram matrix"}
    figure.suptitle(f"clean images and PGD-20, {result['threat_model']}")
    for axes, (key, title) in zip(panels, matrices.items(), strict=True):
        for name, (role, color) in NETWORK_STYLES.items():
            spectrum = result.get(name, {}).get(key, {})
            if not spectrum.get("eigenvalues"):
                continue
            values = np.asarray(spectrum["eigenvalues"])
            shares = values / max(values.sum(), 1e-30)
            shares = shares[shares > MIN_EIGENVALUE_SHARE]
            label = f"{role}, rank {spectrum['effective_rank']:.1f}"
            ranks = np.arange(1, len(shares) + 1)
            axes.semilogy(ranks, shares, ".-", ms=3, color=color, label=label)
        axes.set(title=title, xlabel="eigenvalue, the largest first", ylabel="share of the trace")
        if axes.lines:
            axes.legend()
    return figure


def calibration(result: dict[str, Any]) -> Figure:
    """Accuracy over confidence, by bin."""
    figure, panels = new_figure(columns=2, width=8.4)
    kinds = {"clean": "clean", "adversarial": f"PGD-20, {result['threat_model']}"}
    for axes, (key, title) in zip(panels, kinds.items(), strict=True):
        bins = result[key]
        filled = [index for index, count in enumerate(bins["count"]) if count]
        axes.plot([0, 1], [0, 1], "--", color=GRAY, lw=1)
        axes.bar(
            [bins["confidence"][index] for index in filled],
            [bins["accuracy"][index] for index in filled],
            width=0.8 / len(bins["count"]),
            color=BLUE,
        )
        axes.set(
            title=f"{title}: ECE {bins['ece']:.3f}",
            xlabel="confidence",
            ylabel="accuracy",
            xlim=(0, 1),
            ylim=(0, 1),
        )
    return figure


def grad_cam(result: dict[str, Any]) -> Figure:
    """A row for each image: clean, then each network's Grad-CAM map, clean and adversarial."""
    rows = result["rows"]
    names = [name for name in ("reference", "network") if name in rows[0]]
    titles = ["clean"]
    for name in names:
        role = "teacher" if name == "reference" else "student"
        titles += [f"{role}, clean", f"{role}, attacked"]
    columns = len(titles)
    figure, panels = new_figure(columns, len(rows), width=1.7 * columns, height=1.75 * len(rows))
    figure.suptitle(f"attacked by PGD-20, {result['threat_model']}", fontsize=10)
    for index, row in enumerate(rows):
        cells = iter(panels[index * columns : (index + 1) * columns])
        _draw_image(next(cells), row["png_clean"])
        for name in names:
            maps = row[name]
            for kind, image in (
                ("clean", row["png_clean"]),
                ("adversarial", maps["png_adversarial"]),
            ):
                is_correct = maps[f"predicted_{kind}"] == row["label"]
                _draw_image(next(cells), image, maps[f"png_map_{kind}"], is_correct)
    for axes, title in zip(panels, titles, strict=False):
        axes.set_title(title, fontsize=9)
    return figure


def _draw_image(
    axes: Axes, png: str, heat_map: str | None = None, is_correct: bool | None = None
) -> None:
    """Draw an image under a heat map, in a green frame if it is classified correctly."""
    axes.imshow(decode_png(png), cmap="gray", vmin=0, vmax=1, extent=(0, 1, 0, 1))
    if heat_map is not None:
        axes.imshow(
            decode_png(heat_map),
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
        spine.set_visible(is_correct is not None)
        spine.set_color(GREEN if is_correct else ORANGE)
        spine.set_linewidth(2.5)


def decode_png(png: str) -> Any:
    return imread(io.BytesIO(base64.b64decode(png)), format="png")
