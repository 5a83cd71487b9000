"""Titles and units of an evaluation's results, for people."""

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
"""By name, the titles of results that are shares of all images, in the order of display."""
TITLES = {**ACCURACIES, "grad_cam": "Grad-CAM", "per_class": "Accuracy by class"}
_REPEAT_SUFFIX = re.compile(r"_([0-9]+)$")
"""The second PGD attack of a job is ``pgd_2``."""


def is_accuracy(measure: str) -> bool:
    return _REPEAT_SUFFIX.sub("", measure) in ACCURACIES


def sort_key(measure: str) -> tuple[int, str]:
    """Sort accuracies first, in the order of display, then everything else by name."""
    base = _REPEAT_SUFFIX.sub("", measure)
    return (list(ACCURACIES).index(base) if base in ACCURACIES else len(ACCURACIES), measure)


def measure_title(measure: str) -> str:
    """pgd -> PGD, pgd_2 -> PGD 2, radius_sweep -> Radius sweep."""
    base = _REPEAT_SUFFIX.sub("", measure)
    repeat = _REPEAT_SUFFIX.search(measure)
    title = TITLES.get(base, base.replace("_", " ").capitalize())
    return f"{title} {repeat.group(1)}" if repeat else title


def column_heading(measure: str) -> str:
    """Return the title with its unit: PGD %, Effective rank of the Gram matrix."""
    if is_accuracy(measure):
        return f"{measure_title(measure)} %"
    unit = find_unit(measure)
    return f"{unit.title} {unit.unit}".rstrip()


@dataclass(frozen=True)
class MeasureUnit:
    """Title and unit of a number. ``scale`` converts the stored value into the unit."""

    title: str
    unit: str = ""
    scale: float = 1.0

    def text(self, value: float) -> str:
        return f"{self.scale * value:.4g} {self.unit}".rstrip()


ANALYSIS_NUMBERS = {
    "variance_gap_features": MeasureUnit("Variance gap of features", "%"),
    "variance_gap_gram": MeasureUnit("Variance gap of Gram matrices", "%"),
    "effective_rank_features": MeasureUnit("Effective rank of the joint covariance"),
    "effective_rank_gram": MeasureUnit("Effective rank of the Gram matrix"),
    "grad_cam_shift": MeasureUnit("Change of Grad-CAM under attack, 0 to 1"),
    "ece": MeasureUnit("Expected calibration error, clean"),
    "ece_adversarial": MeasureUnit("Expected calibration error under PGD-20"),
    "masking_square_drop": MeasureUnit("Accuracy lost to Square after APGD", "points", 100),
    "masking_large_radius": MeasureUnit("Accuracy at the largest radius", "%", 100),
}
"""By name, the numbers that analyses yield."""
NUMBERS = {
    **ANALYSIS_NUMBERS,
    "training_seconds_per_epoch": MeasureUnit("Training time per epoch", "s"),
}
"""By name, the results of a job that are no accuracies."""


def find_unit(name: str) -> MeasureUnit:
    """Return the unit of a number; one without unit for a name that is not known."""
    return NUMBERS.get(name, MeasureUnit(measure_title(name)))
