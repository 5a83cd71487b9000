"""The plots of accuracies: over the training, class by class, over radii, and under other attacks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.figures.drawing import BLUE, GREEN, GRAY, ORANGE, PALETTE, new_figure
from core.reportspec.measures import measure_title

MAX_CLASSES = 30


def training(history: list[dict[str, float]]) -> Figure:
    made, (accuracy, loss) = new_figure(columns=2, width=8.4)
    judged = [epoch for epoch in history if "held_out_robust" in epoch]
    for key, label, colour in (
        ("held_out_clean", "clean", BLUE),
        ("held_out_robust", "PGD-10", ORANGE),
    ):
        accuracy.plot(
            [it["epoch"] for it in judged],
            [100 * it[key] for it in judged],
            ".-",
            color=colour,
            label=label,
        )
    accuracy.set(xlabel="epoch", ylabel="held-out accuracy, %", ylim=(0, 100))
    accuracy.legend()
    loss.plot([it["epoch"] for it in history], [it["loss"] for it in history], ".-", color=GRAY)
    loss.set(xlabel="epoch", ylabel="mean loss")
    for axes in (accuracy, loss):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return made


def per_class(results: dict[str, dict[str, Any]], class_names: tuple[str, ...]) -> Figure:
    shown = class_names[:MAX_CLASSES]
    series = {name: entry["per_class"] for name, entry in results.items() if entry.get("per_class")}
    made, (axes,) = new_figure(width=max(5.2, 0.36 * len(shown) + 1.6))
    width = 0.8 / len(series)
    palette = (GRAY, *PALETTE[:-1])
    for index, (name, values) in enumerate(series.items()):
        heights = [100 * (value or 0) for value in values[:MAX_CLASSES]]
        axes.bar(
            np.arange(len(shown)) + index * width,
            heights,
            width,
            label=measure_title(name),
            color=palette[index % len(palette)],
        )
    axes.set(ylabel="accuracy, %", ylim=(0, 100))
    axes.set_xticks(
        np.arange(len(shown)) + 0.4 - width / 2,
        [name[:14] for name in shown],
        rotation=45 if len(shown) > 10 else 0,
    )
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return made


def radius_sweep(found: dict[str, Any]) -> Figure:
    """With the 95 % interval of each accuracy."""
    made, (axes,) = new_figure()
    radii = [255 * radius for radius in found["radii"]]
    low, high = ([100 * interval[side] for interval in found["intervals"]] for side in (0, 1))
    axes.fill_between(radii, low, high, color=BLUE, alpha=0.18, lw=0, label="95 % interval")
    axes.plot(radii, [100 * share for share in found["accuracy"]], "o-", color=BLUE, ms=4)
    axes.set(xlabel="perturbation radius, in 1/255", ylabel="accuracy under PGD, %", ylim=(0, 100))
    axes.legend()
    return made


def transfer(found: dict[str, Any]) -> Figure:
    """An honest network stands other networks' adversarial images better than its own."""
    made, (axes,) = new_figure(height=2.6)
    bars = {
        "network,\nmade for the reference": (found["value"], BLUE),
        "network,\nmade for itself": (found["own_accuracy"], BLUE),
        "reference,\nmade for itself": (found["reference_accuracy"], ORANGE),
    }
    _draw_bars(
        axes,
        list(bars),
        [share for share, _ in bars.values()],
        [colour for _, colour in bars.values()],
    )
    return made


def gradient_masking(found: dict[str, Any]) -> Figure:
    """From the weakest change of the images to the strongest: the bars of an honest network fall."""
    made, (axes,) = new_figure(height=3.0)
    titles = {
        "clean": "clean",
        "noise": "random noise",
        "pgd": "PGD-20",
        "gradients": "APGD",
        "square": "APGD, then Square",
        "large": f"PGD-20, radius {found['large_radius']:g}",
    }
    passed = {check["name"]: check["passed"] for check in found["checks"]}
    checks = {"noise": "noise", "square": "square", "large": "large_radius"}
    colours = [GREEN if passed.get(checks.get(name, ""), True) else ORANGE for name in titles]
    _draw_bars(axes, list(titles.values()), [found["share"][name] for name in titles], colours)
    return made


def _draw_bars(
    axes: Axes, names: Sequence[str], shares: Sequence[float], colours: Sequence[str]
) -> None:
    """Lying bars, the first on top, each with its number."""
    bars = axes.barh(names, [100 * share for share in shares], color=colours, height=0.6)
    axes.bar_label(bars, [f"{100 * share:.1f}" for share in shares], padding=4, fontsize=9)
    axes.set(xlabel="accuracy, %", xlim=(0, 108))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
