"""Figures of a job's results, as PNG and SVG: from JSON alone, without torch."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from core.figures.drawing import apply_style, render_files
from core.figures.examples import decode_picture, examples
from core.figures.networks import calibration, grad_cam, spectra, variance_gap
from core.figures.plots import gradient_masking, per_class, radius_sweep, training, transfer
from core.reportspec.examples import EXAMPLES_FILE
from core.reportspec.measures import find_by_name

__all__ = ["PLOTS", "draw_figures"]

PLOTS: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "radius_sweep": radius_sweep,
    "variance_gap": variance_gap,
    "spectra": spectra,
    "calibration": calibration,
    "transfer": transfer,
    "gradient_masking": gradient_masking,
    "grad_cam": grad_cam,
    "examples": examples,
}
"""A plot for every analysis."""


def _raise_error(name: str, error: Exception) -> None:
    raise error


def draw_figures(
    results: dict[str, dict[str, Any]],
    history: list[dict[str, float]],
    class_names: tuple[str, ...],
    threat_model: str,
    on_error: Callable[[str, Exception], None] = _raise_error,
) -> dict[str, bytes]:
    """Draw every figure of one network's results and of its training's history.

    ``threat_model`` is that under which epochs were validated, such as L∞, 8/255.
    Return the content by file name: ``{"radius_sweep.svg": …, …}``. A figure that cannot be drawn
    is left out if ``on_error``, called with its name and the error, returns.
    """
    files: dict[str, bytes] = {}
    with apply_style():
        for name, plot in _plots(results, history, class_names, threat_model):
            try:
                files |= render_files(name, plot())
            except Exception as error:
                on_error(name, error)
    shown = find_by_name(results, "examples")
    if shown is not None and "png_picture" in shown:
        files[EXAMPLES_FILE] = decode_picture(shown)
    return files


def _plots(
    results: dict[str, dict[str, Any]],
    history: list[dict[str, float]],
    class_names: tuple[str, ...],
    threat_model: str,
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Yield name and function of each figure for which there are results."""
    if history:
        yield "training", partial(training, history, threat_model)
    if any(result.get("per_class") for result in results.values()):
        yield "per_class", partial(per_class, results, class_names)
    for name, plot in PLOTS.items():
        result = find_by_name(results, name)
        if name == "examples" and result is not None:
            yield name, partial(examples, result, class_names)
        elif result is not None:
            yield name, partial(plot, result)
