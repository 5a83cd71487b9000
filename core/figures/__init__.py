"""Figures of a job's results, as PNG and SVG: from JSON alone, without torch."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from core.figures.drawing import apply_style, render_files
from core.figures.networks import calibration, grad_cam, spectra, variance_gap
from core.figures.plots import gradient_masking, per_class, radius_sweep, training, transfer

__all__ = ["PLOTS", "draw_figures"]

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


def draw_figures(
    results: dict[str, dict[str, Any]],
    history: list[dict[str, float]],
    class_names: tuple[str, ...],
) -> dict[str, bytes]:
    """Draw every figure of one network's results and of its training's history.

    Return the content by file name: ``{"radius_sweep.svg": …, …}``.
    """
    files: dict[str, bytes] = {}
    with apply_style():
        if history:
            files |= render_files("training", training(history))
        if any(result.get("per_class") for result in results.values()):
            files |= render_files("per_class", per_class(results, class_names))
        for name, plot in PLOTS.items():
            if name in results:
                files |= render_files(name, plot(results[name]))
    return files
