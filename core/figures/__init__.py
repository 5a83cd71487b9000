"""Figures of results, as PNG and SVG bytes: from JSON alone, without torch."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from core.figures.drawing import render_files, apply_style
from core.figures.networks import calibration, grad_cam, spectra, variance_gap
from core.figures.plots import gradient_masking, per_class, radius_sweep, training, transfer

__all__ = ["PLOTS", "draw"]

PLOTS: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "radius_sweep": radius_sweep,
    "variance_gap": variance_gap,
    "spectra": spectra,
    "calibration": calibration,
    "transfer": transfer,
    "gradient_masking": gradient_masking,
    "grad_cam": grad_cam,
}
"""A plot for every analysis."""


def draw(
    results: dict[str, dict[str, Any]],
    history: list[dict[str, float]],
    class_names: tuple[str, ...],
) -> dict[str, bytes]:
    """Every figure that one network's results, and its training's history, give: ``{"radius_sweep.svg": …, …}``."""
    drawn: dict[str, bytes] = {}
    with apply_style():
        if history:
            drawn |= render_files("training", training(history))
        if any(entry.get("per_class") for entry in results.values()):
            drawn |= render_files("per_class", per_class(results, class_names))
        for name, plot in PLOTS.items():
            if name in results:
                drawn |= render_files(name, plot(results[name]))
    return drawn
