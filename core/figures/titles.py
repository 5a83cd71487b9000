"""What measures are called where people read them."""

import re

TITLES = {
    "clean": "Clean",
    "pgd": "PGD",
    "cw": "CW",
    "autoattack": "AutoAttack",
    "grad_cam": "Grad-CAM",
    "per_class": "Class by class",
}


def title_of(measure: str) -> str:
    """pgd -> PGD, pgd_2 -> PGD 2, radius_sweep -> Radius sweep."""
    name, number = re.fullmatch(r"(.+?)(_\d+)?", measure).groups("")  # type: ignore[union-attr]
    return TITLES.get(name, name.replace("_", " ").capitalize()) + number.replace("_", " ")
