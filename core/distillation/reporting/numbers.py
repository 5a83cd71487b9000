"""The analyses' numbers as a table: the network's, and those of the reference beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.spec.report import Entry

WHO = "network or reference"


@dataclass(frozen=True)
class Number:
    """``path`` leads to it in the report's results; WHO in it stands for one of the two networks."""

    title: str
    path: tuple[str, ...]
    scale: float = 1.0


NUMBERS = (
    Number("Variance gap of features, %", ("variance_gap", WHO, "features")),
    Number("Correlation of accuracy with it, r", ("variance_gap", WHO, "lines", "features", "r")),
    Number("Variance gap of Gram matrices, %", ("variance_gap", WHO, "gram")),
    Number("Correlation of accuracy with it, r", ("variance_gap", WHO, "lines", "gram", "r")),
    Number("Effective rank of the joint covariance", ("spectra", WHO, "features", "effective_rank")),
    Number("Effective rank of the Gram matrix", ("spectra", WHO, "gram", "effective_rank")),
    Number("Change of Grad-CAM under attack, 0 to 1", ("grad_cam", "values", "grad_cam_shift")),
    Number("Expected calibration error, clean", ("calibration", "values", "ece")),
    Number("Expected calibration error under PGD-20", ("calibration", "values", "ece_adversarial")),
    Number("What Square takes beyond APGD, points", ("gradient_masking", "values", "masking_square_drop"), 100),
    Number("Accuracy at the largest radius, %", ("gradient_masking", "values", "masking_large_radius"), 100),
)


@dataclass(frozen=True)
class Row:
    title: str
    network: str
    reference: str | None


def rows(results: Mapping[str, Entry]) -> Iterator[Row]:
    """Of those that were measured."""
    found = {name: entry.model_dump() for name, entry in results.items()}
    for number in NUMBERS:
        own = _at(found, number, "network")
        if own is not None:
            beside = _at(found, number, "reference") if WHO in number.path else None
            yield Row(number.title, _text(own, number), None if beside is None else _text(beside, number))


def _at(found: Any, number: Number, who: str) -> float | None:
    for key in number.path:
        found = found.get(who if key == WHO else key) if isinstance(found, dict) else None
    return found if isinstance(found, int | float) else None


def _text(value: float, number: Number) -> str:
    return f"{number.scale * value:.3g}"
