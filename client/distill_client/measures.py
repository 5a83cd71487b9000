"""How results are titled for people, and their units.

The service's reports use the same titles; ``tests/client/test_measures.py`` compares both.
"""

import re
from dataclasses import dataclass

ACCURACIES = {
    "clean": "Clean",
    "pgd": "PGD",
    "cw": "CW",
    "autoattack": "AutoAttack",
    "transfer": "Transfer",
    "held_out_clean": "Held-out clean",
    "held_out_robust": "Held-out PGD-10",
}
"""Measures whose value is a share of all images, in [0, 1]."""

TITLES = {**ACCURACIES, "grad_cam": "Grad-CAM", "per_class": "Accuracy by class"}

_REPEAT_SUFFIX = re.compile(r"_([0-9]+)$")
"""A job that runs an attack twice has the measures ``pgd`` and ``pgd_2``."""


@dataclass(frozen=True)
class MeasureUnit:
    """Title and unit of a number that is not an accuracy.

    ``scale`` converts the value in the response into ``unit``.
    """

    title: str
    unit: str = ""
    scale: float = 1.0

    def format(self, value: float) -> str:
        return f"{self.scale * value:.4g} {self.unit}".rstrip()


NUMBERS = {
    "variance_gap_features": MeasureUnit("Variance gap of features", "%"),
    "variance_gap_gram": MeasureUnit("Variance gap of Gram matrices", "%"),
    "effective_rank_features": MeasureUnit("Effective rank of the joint covariance"),
    "effective_rank_gram": MeasureUnit("Effective rank of the Gram matrix"),
    "grad_cam_shift": MeasureUnit("Change of Grad-CAM under attack, 0 to 1"),
    "ece": MeasureUnit("Expected calibration error, clean"),
    "ece_adversarial": MeasureUnit("Expected calibration error under PGD-20"),
    "masking_square_drop": MeasureUnit("Accuracy lost to Square after APGD", "points", 100),
    "masking_large_radius": MeasureUnit("Accuracy at the largest radius", "%", 100),
    "training_seconds_per_epoch": MeasureUnit("Training time per epoch", "s"),
}


def is_accuracy(measure: str) -> bool:
    return _REPEAT_SUFFIX.sub("", measure) in ACCURACIES


def measure_title(measure: str) -> str:
    """Return the title of a measure: pgd -> PGD, pgd_2 -> PGD 2, radius_sweep -> Radius sweep."""
    base = _REPEAT_SUFFIX.sub("", measure)
    repeat = _REPEAT_SUFFIX.search(measure)
    title = TITLES.get(base, base.replace("_", " ").capitalize())
    return f"{title} {repeat.group(1)}" if repeat else title


def find_unit(measure: str) -> MeasureUnit:
    """Return title and unit of a measure that is not an accuracy."""
    return NUMBERS.get(measure, MeasureUnit(measure_title(measure)))


def column_heading(measure: str) -> str:
    """Return the heading of a measure's column, with the unit: ``PGD %``."""
    if is_accuracy(measure):
        return f"{measure_title(measure)} %"
    unit = find_unit(measure)
    return f"{unit.title} {unit.unit}".rstrip()


def scale_of(measure: str) -> float:
    """Return the factor that converts a value into the unit of the measure's heading."""
    return 100.0 if is_accuracy(measure) else find_unit(measure).scale


def format_mean(measure: str, mean: float, sd: float | None) -> str:
    """Return mean ± standard deviation in the unit of the measure's heading."""
    scale = scale_of(measure)
    precision = ".2f" if is_accuracy(measure) else ".4g"
    text = f"{scale * mean:{precision}}"
    return text if sd is None else f"{text} ± {scale * sd:{precision}}"
