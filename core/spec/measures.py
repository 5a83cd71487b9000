"""What measures are called, which of them are accuracies, and in which order people read them."""

import re

HEADINGS = {
    "clean": "clean",
    "pgd": "PGD",
    "cw": "CW",
    "autoattack": "AutoAttack",
    "transfer": "transfer",
    "held_out_clean": "held-out clean",
    "held_out_robust": "held-out PGD-10",
}
"""Of accuracies, in the order in which they are shown."""
_AGAIN = re.compile(r"_([0-9]+)$")
"""An attack that is asked for twice is ``pgd`` and ``pgd_2``."""


def is_share(measure: str) -> bool:
    """Whether it is a share in [0, 1], to be shown in %; the numbers of analyses have units of their own."""
    return _AGAIN.sub("", measure) in HEADINGS


def heading(measure: str) -> str:
    base = _AGAIN.sub("", measure)
    if base not in HEADINGS:
        return measure.replace("_", " ")
    again = _AGAIN.search(measure)
    return f"{HEADINGS[base]} {again.group(1)}" if again else HEADINGS[base]


def place(measure: str) -> tuple[int, str]:
    """To sort by: accuracies first."""
    base = _AGAIN.sub("", measure)
    return (list(HEADINGS).index(base) if base in HEADINGS else len(HEADINGS), measure)
