"""What an evaluation's results are called where people read them, and what they are measured in."""

import re
from dataclasses import dataclass

TITLES = {
    "clean": "Clean",
    "pgd": "PGD",
    "cw": "CW",
    "autoattack": "AutoAttack",
    "transfer": "Transfer",
    "grad_cam": "Grad-CAM",
    "per_class": "Class by class",
}
ACCURACY = re.compile(r"(clean|pgd|cw|autoattack|transfer|held_out_clean|held_out_robust)(_[0-9]+)?")
"""Results that are shares of all images; those of NUMBERS have units of their own."""


def title_of(measure: str) -> str:
    """pgd -> PGD, pgd_2 -> PGD 2, radius_sweep -> Radius sweep."""
    parts = re.fullmatch(r"(.+?)(_[0-9]+)?", measure, re.DOTALL)
    assert parts is not None
    name, number = parts.groups("")
    return TITLES.get(name, name.replace("_", " ").capitalize()) + number.replace("_", " ")


@dataclass(frozen=True)
class Number:
    """``scale`` turns the stored value into ``unit``."""

    title: str
    unit: str = ""
    scale: float = 1.0

    def text(self, value: float) -> str:
        return f"{self.scale * value:.4g} {self.unit}".rstrip()


NUMBERS = {
    "variance_gap_features": Number("Variance gap of features", "%"),
    "variance_gap_gram": Number("Variance gap of Gram matrices", "%"),
    "effective_rank_features": Number("Effective rank of the joint covariance"),
    "effective_rank_gram": Number("Effective rank of the Gram matrix"),
    "grad_cam_shift": Number("Change of Grad-CAM under attack, 0 to 1"),
    "ece": Number("Expected calibration error, clean"),
    "ece_adversarial": Number("Expected calibration error under PGD-20"),
    "masking_square_drop": Number("What Square takes beyond APGD", "points", 100),
    "masking_large_radius": Number("Accuracy at the largest radius", "%", 100),
}
"""The analyses' numbers that a job's results keep, by name."""


def number_of(name: str) -> Number:
    return NUMBERS.get(name, Number(title_of(name)))
