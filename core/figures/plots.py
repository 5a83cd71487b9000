"""The plots of one report."""

import base64
import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from core.figures.drawing import BLUE, GREEN, GREY, ORANGE, figure

OF = {"network": ("network", BLUE), "reference": ("teacher or reference", ORANGE)}
MOST_CLASSES = 30


def training(history: list[dict[str, float]]) -> Figure:
    made, (accuracy, loss) = figure(columns=2, width=8.4)
    judged = [epoch for epoch in history if "held_out_robust" in epoch]
    for key, label, colour in (("held_out_clean", "clean", BLUE), ("held_out_robust", "PGD-10", ORANGE)):
        accuracy.plot([it["epoch"] for it in judged], [100 * it[key] for it in judged], color=colour, label=label)
    accuracy.set(xlabel="epoch", ylabel="held-out accuracy, %", ylim=(0, 100))
    accuracy.legend()
    loss.plot([it["epoch"] for it in history], [it["loss"] for it in history], color=GREY)
    loss.set(xlabel="epoch", ylabel="mean loss")
    return made


def per_class(results: dict[str, dict[str, Any]], class_names: tuple[str, ...]) -> Figure:
    shown = class_names[:MOST_CLASSES]
    series = {name: entry["per_class"] for name, entry in results.items() if entry.get("per_class")}
    made, (axes,) = figure(width=max(6.4, 0.42 * len(shown) + 2))
    width = 0.8 / len(series)
    palette = (GREY, BLUE, ORANGE, GREEN)
    for index, (name, values) in enumerate(series.items()):
        heights = [100 * (value or 0) for value in values[:MOST_CLASSES]]
        axes.bar(np.arange(len(shown)) + index * width, heights, width, label=name, color=palette[index % len(palette)])
    axes.set(ylabel="accuracy, %", ylim=(0, 100))
    axes.set_xticks(np.arange(len(shown)) + 0.4 - width / 2, [name[:14] for name in shown], rotation=45 if len(shown) > 10 else 0)
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return made


def radius_sweep(found: dict[str, Any]) -> Figure:
    made, (axes,) = figure()
    axes.plot([255 * radius for radius in found["radii"]], [100 * share for share in found["accuracy"]], "o-", color=BLUE, ms=4)
    axes.set(xlabel="perturbation radius, in 1/255", ylabel="accuracy under PGD, %", ylim=(0, 100))
    return made


def variance_gap(found: dict[str, Any]) -> Figure:
    made, every = figure(columns=2)
    for axes, (key, label) in zip(every, (("features", "features"), ("gram", "Gram matrices")), strict=True):
        names = [name for name in OF if found.get(name, {}).get(key) is not None]
        axes.bar(
            [OF[name][0] for name in names],
            [found[name][key] for name in names],
            color=[OF[name][1] for name in names],
            width=0.6,
        )
        axes.set(title=label, ylabel="variance gap, %")
    return made


def spectra(found: dict[str, Any]) -> Figure:
    made, every = figure(columns=2, width=8.4)
    for axes, (key, label) in zip(every, (("features", "joint covariance"), ("gram", "Gram matrix")), strict=True):
        for name in (name for name in OF if name in found):
            values = np.asarray(found[name][key]["eigenvalues"])
            rank = found[name][key]["effective_rank"]
            share = values / max(values.sum(), 1e-30)
            axes.semilogy(
                np.arange(1, len(share) + 1), np.maximum(share, 1e-9), color=OF[name][1], label=f"{OF[name][0]}, rank {rank:.1f}"
            )
        axes.set(title=label, xlabel="eigenvalue, the largest first", ylabel="share of the trace")
        axes.legend()
    return made


def calibration(found: dict[str, Any]) -> Figure:
    made, every = figure(columns=2, width=7.6)
    for axes, (key, label) in zip(every, (("clean", "clean"), ("adversarial", "under PGD-20")), strict=True):
        bins = found[key]
        kept = [index for index, count in enumerate(bins["count"]) if count]
        axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
        axes.bar(
            [bins["confidence"][index] for index in kept],
            [bins["accuracy"][index] for index in kept],
            width=0.8 / len(bins["count"]),
            color=BLUE,
        )
        axes.set(title=f"{label}: ECE {bins['ece']:.3f}", xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    return made


def grad_cam(found: dict[str, Any]) -> Figure:
    """A row for each image; clean, then attacked, with what each network looks at laid over it."""
    rows = found["rows"]
    names = [name for name in ("reference", "network") if name in rows[0]]
    titles = ["clean"] + [
        f"{'teacher' if name == 'reference' else 'student'}, {kind}" for name in names for kind in ("clean", "attacked")
    ]
    made, every = figure(len(titles), len(rows), width=1.7 * len(titles), height=1.75 * len(rows))
    for index, row in enumerate(rows):
        cells = every[index * len(titles) : (index + 1) * len(titles)]
        _picture(cells[0], row["png_clean"], None, None)
        for number, name in enumerate(names):
            it = row[name]
            right = [it[f"predicted_{kind}"] == row["label"] for kind in ("clean", "adversarial")]
            _picture(cells[1 + 2 * number], row["png_clean"], it["png_map_clean"], right[0])
            _picture(cells[2 + 2 * number], it["png_adversarial"], it["png_map_adversarial"], right[1])
    for axes, title in zip(every, titles, strict=False):
        axes.set_title(title, fontsize=9)
    return made


def _picture(axes: Axes, png: str, heat: str | None, right: bool | None) -> None:
    image = _pixels(png)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, 1, 0, 1))
    if heat is not None:
        axes.imshow(_pixels(heat), cmap="inferno", alpha=0.55, vmin=0, vmax=1, extent=(0, 1, 0, 1), interpolation="bicubic")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(right is not None)
        spine.set_color(GREEN if right else ORANGE)
        spine.set_linewidth(2.5)


def _pixels(png: str) -> Any:
    return imread(io.BytesIO(base64.b64decode(png)), format="png")
