"""Figures of results, as PNG and SVG bytes: from JSON alone, without torch."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from core.figures.drawing import files
from core.figures.plots import calibration, grad_cam, per_class, radius_sweep, spectra, training, variance_gap

PLOTS: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "radius_sweep": radius_sweep,
    "variance_gap": variance_gap,
    "spectra": spectra,
    "calibration": calibration,
    "grad_cam": grad_cam,
}


def draw(results: dict[str, dict[str, Any]], history: list[dict[str, float]], class_names: tuple[str, ...]) -> dict[str, bytes]:
    """Every figure that one network's results, and its training's history, give: ``{"radius_sweep.svg": …, …}``."""
    drawn: dict[str, bytes] = {}
    if history:
        drawn |= files("training", training(history))
    if any(entry.get("per_class") for entry in results.values()):
        drawn |= files("per_class", per_class(results, class_names))
    for name, plot in PLOTS.items():
        if name in results:
            drawn |= files(name, plot(results[name]))
    return drawn
