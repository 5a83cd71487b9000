"""The analyses' numbers as a table: the network's, and those of the reference beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.reportspec.measures import NUMBERS, Number
from core.reportspec.report import Entry

WHO = "network or reference"
R = Number("Correlation of accuracy with it, r")

ROWS: tuple[tuple[Number, tuple[str, ...]], ...] = (
    (NUMBERS["variance_gap_features"], ("variance_gap", WHO, "features")),
    (R, ("variance_gap", WHO, "lines", "features", "r")),
    (NUMBERS["variance_gap_gram"], ("variance_gap", WHO, "gram")),
    (R, ("variance_gap", WHO, "lines", "gram", "r")),
    (NUMBERS["effective_rank_features"], ("spectra", WHO, "features", "effective_rank")),
    (NUMBERS["effective_rank_gram"], ("spectra", WHO, "gram", "effective_rank")),
    (NUMBERS["grad_cam_shift"], ("grad_cam", "values", "grad_cam_shift")),
    (NUMBERS["ece"], ("calibration", "values", "ece")),
    (NUMBERS["ece_adversarial"], ("calibration", "values", "ece_adversarial")),
    (NUMBERS["masking_square_drop"], ("gradient_masking", "values", "masking_square_drop")),
    (NUMBERS["masking_large_radius"], ("gradient_masking", "values", "masking_large_radius")),
)
"""Each number and where in the report's results it is; WHO stands for one of the two networks."""


@dataclass(frozen=True)
class Row:
    title: str
    network: str
    reference: str | None


def rows(results: Mapping[str, Entry]) -> Iterator[Row]:
    """Of those that were measured."""
    found = {name: entry.model_dump() for name, entry in results.items()}
    for number, path in ROWS:
        own = _at(found, path, "network")
        if own is not None:
            beside = _at(found, path, "reference") if WHO in path else None
            yield Row(
                number.title, number.text(own), None if beside is None else number.text(beside)
            )


def _at(found: Any, path: tuple[str, ...], who: str) -> float | None:
    for key in path:
        found = found.get(who if key == WHO else key) if isinstance(found, dict) else None
    return found if isinstance(found, int | float) else None
