"""Plots of accuracies: over the training, by class, over radii, and under other attacks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.figures.drawing import BLUE, GRAY, GREEN, ORANGE, PALETTE, new_figure
from core.reportspec.measures import measure_title
from core.reportspec.threat_model import format_radius

MAX_CLASSES = 30
MAX_CLASS_NAME_LENGTH = 14


def training(history: list[dict[str, float]], threat_model: str) -> Figure:
    """Accuracy on held-out images and mean loss, by epoch. ``threat_model``: such as L∞, 8/255."""
    figure, (accuracy, loss) = new_figure(columns=2, width=8.4)
    validated = [epoch for epoch in history if "held_out_robust" in epoch]
    epochs = [epoch["epoch"] for epoch in validated]
    for key, label, color in (
        ("held_out_clean", "clean", BLUE),
        ("held_out_robust", f"PGD-10, {threat_model}", ORANGE),
    ):
        accuracies = [100 * epoch[key] for epoch in validated]
        accuracy.plot(epochs, accuracies, ".-", color=color, label=label)
    accuracy.set(xlabel="epoch", ylabel="held-out accuracy, %", ylim=(0, 100))
    accuracy.legend()
    losses = [epoch["loss"] for epoch in history]
    loss.plot([epoch["epoch"] for epoch in history], losses, ".-", color=GRAY)
    loss.set(xlabel="epoch", ylabel="mean loss")
    for axes in (accuracy, loss):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def per_class(results: dict[str, dict[str, Any]], class_names: tuple[str, ...]) -> Figure:
    """Accuracies of each class, at most of the first 30."""
    names = class_names[:MAX_CLASSES]
    accuracies = {
        measure: result["per_class"]
        for measure, result in results.items()
        if result.get("per_class")
    }
    figure, (axes,) = new_figure(
        width=max(5.2, 0.36 * len(names) + 1.6), height=2.9 + 0.18 * len(accuracies)
    )
    width = 0.8 / len(accuracies)
    palette = (GRAY, *PALETTE[:-1])
    for index, (measure, values) in enumerate(accuracies.items()):
        heights = [100 * (value or 0) for value in values[:MAX_CLASSES]]
        axes.bar(
            np.arange(len(names)) + index * width,
            heights,
            width,
            label=measure_title(measure),
            color=palette[index % len(palette)],
        )
    axes.set(ylabel="accuracy, %", ylim=(0, 100))
    axes.set_xticks(
        np.arange(len(names)) + 0.4 - width / 2,
        [name[:MAX_CLASS_NAME_LENGTH] for name in names],
        rotation=45 if len(names) > 10 else 0,
    )
    figure.legend(loc="outside upper left", fontsize=8)
    return figure


def radius_sweep(result: dict[str, Any]) -> Figure:
    """Accuracy over the radius, with 95 % intervals."""
    figure, (axes,) = new_figure()
    radii = [255 * radius for radius in result["radii"]]
    low = [100 * interval[0] for interval in result["intervals"]]
    high = [100 * interval[1] for interval in result["intervals"]]
    accuracies = [100 * accuracy for accuracy in result["accuracy"]]
    axes.fill_between(radii, low, high, color=BLUE, alpha=0.18, lw=0, label="95 % interval")
    axes.plot(radii, accuracies, "o-", color=BLUE, ms=4)
    attack = f"PGD-{result['steps']}" if "steps" in result else "PGD"
    axes.set(xlabel="radius in L∞, in 1/255", ylabel=f"accuracy under {attack}, %", ylim=(0, 100))
    axes.legend()
    return figure


def transfer(result: dict[str, Any]) -> Figure:
    """Accuracy on adversarial images made for the reference and for the network itself.

    Without gradient masking, a network withstands those of another network better than its own.
    """
    figure, (axes,) = new_figure(height=2.6)
    bars = {
        "network,\nmade for the reference": (result["value"], BLUE),
        "network,\nmade for itself": (result["own_accuracy"], BLUE),
        "reference,\nmade for itself": (result["reference_accuracy"], ORANGE),
    }
    accuracies = [accuracy for accuracy, _ in bars.values()]
    colors = [color for _, color in bars.values()]
    _draw_bars(axes, list(bars), accuracies, colors)
    axes.set_title(f"PGD-20, {result['threat_model']}")
    return figure


def gradient_masking(result: dict[str, Any]) -> Figure:
    """Accuracies from the weakest to the strongest attack.

    Without gradient masking, each bar is shorter than the one above it.
    """
    figure, (axes,) = new_figure(height=3.0)
    titles = {
        "clean": "clean",
        "noise": "random noise",
        "pgd": "PGD-20",
        "gradients": "APGD",
        "square": "APGD, then Square",
        "large": f"PGD-20, L∞, {format_radius(result['large_radius'])}",
    }
    passed = {check["name"]: check["passed"] for check in result["checks"]}
    checks = {"noise": "noise", "square": "square", "large": "large_radius"}
    colors = [GREEN if passed.get(checks.get(name, ""), True) else ORANGE for name in titles]
    accuracies = [result["share"][name] for name in titles]
    _draw_bars(axes, list(titles.values()), accuracies, colors)
    axes.set_title(result["threat_model"])
    return figure


def _draw_bars(
    axes: Axes, names: Sequence[str], shares: Sequence[float], colors: Sequence[str]
) -> None:
    """Draw horizontal bars, the first on top, each labeled with its number."""
    bars = axes.barh(names, [100 * share for share in shares], color=colors, height=0.6)
    axes.bar_label(bars, [f"{100 * share:.1f}" for share in shares], padding=4, fontsize=9)
    axes.set(xlabel="accuracy, %", xlim=(0, 108))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
