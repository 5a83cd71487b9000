"""What an evaluation's results are called where people read them, and what they are measured in."""

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
"""Results that are shares of all images, in the order in which they are shown; those of NUMBERS have units of their own."""
TITLES = {**ACCURACIES, "grad_cam": "Grad-CAM", "per_class": "Class by class"}
_REPEAT_SUFFIX = re.compile(r"_([0-9]+)$")
"""An attack that is asked for twice is ``pgd`` and ``pgd_2``."""


def is_accuracy(measure: str) -> bool:
    return _REPEAT_SUFFIX.sub("", measure) in ACCURACIES


def sort_key(measure: str) -> tuple[int, str]:
    """To sort by: accuracies first."""
    base = _REPEAT_SUFFIX.sub("", measure)
    return (list(ACCURACIES).index(base) if base in ACCURACIES else len(ACCURACIES), measure)


def measure_title(measure: str) -> str:
    """pgd -> PGD, pgd_2 -> PGD 2, radius_sweep -> Radius sweep."""
    base, again = _REPEAT_SUFFIX.sub("", measure), _REPEAT_SUFFIX.search(measure)
    title = TITLES.get(base, base.replace("_", " ").capitalize())
    return f"{title} {again.group(1)}" if again else title


def column_heading(measure: str) -> str:
    """Of a column, with the unit: PGD %, Effective rank of the Gram matrix."""
    if is_accuracy(measure):
        return f"{measure_title(measure)} %"
    number = unit_of(measure)
    return f"{number.title} {number.unit}".rstrip()


@dataclass(frozen=True)
class MeasureUnit:
    """``scale`` turns the stored value into ``unit``."""

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
    "masking_square_drop": MeasureUnit("What Square takes beyond APGD", "points", 100),
    "masking_large_radius": MeasureUnit("Accuracy at the largest radius", "%", 100),
}
"""Numbers that a report's analyses have, by name."""
NUMBERS = {**ANALYSIS_NUMBERS, "training_seconds_per_epoch": MeasureUnit("Training time per epoch", "s")}
"""Numbers other than accuracies that a job's results keep, by name."""


def unit_of(name: str) -> MeasureUnit:
    return NUMBERS.get(name, MeasureUnit(measure_title(name)))
