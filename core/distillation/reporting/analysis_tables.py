"""The numbers of the analyses as a table, for the network and its reference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.reportspec.examples import OUTCOMES, OUTCOMES_WITHOUT_REFERENCE
from core.reportspec.measures import NUMBERS, MeasureUnit, describe, find_by_name
from core.reportspec.report import MeasureResult

NETWORK_OR_REFERENCE = "network or reference"
CORRELATION = MeasureUnit("Correlation of accuracy with it, r")

Path = tuple[str, ...]

NUMBER_PATHS: tuple[tuple[MeasureUnit, Path], ...] = (
    (NUMBERS["variance_gap_features"], ("variance_gap", NETWORK_OR_REFERENCE, "features")),
    (CORRELATION, ("variance_gap", NETWORK_OR_REFERENCE, "lines", "features", "r")),
    (NUMBERS["variance_gap_gram"], ("variance_gap", NETWORK_OR_REFERENCE, "gram")),
    (CORRELATION, ("variance_gap", NETWORK_OR_REFERENCE, "lines", "gram", "r")),
    (
        NUMBERS["effective_rank_features"],
        ("spectra", NETWORK_OR_REFERENCE, "features", "effective_rank"),
    ),
    (NUMBERS["effective_rank_gram"], ("spectra", NETWORK_OR_REFERENCE, "gram", "effective_rank")),
    (NUMBERS["grad_cam_shift"], ("grad_cam", "values", "grad_cam_shift")),
    (NUMBERS["ece"], ("calibration", "values", "ece")),
    (NUMBERS["ece_adversarial"], ("calibration", "values", "ece_adversarial")),
    (NUMBERS["masking_square_drop"], ("gradient_masking", "values", "masking_square_drop")),
    (NUMBERS["masking_large_radius"], ("gradient_masking", "values", "masking_large_radius")),
)
"""Each number, and its path in the report's results.

NETWORK_OR_REFERENCE in a path stands for the key of one of the two networks.
"""


@dataclass(frozen=True)
class TableRow:
    """One number with its unit, as text; ``reference`` is None where only the network has it."""

    title: str
    network: str
    reference: str | None


def analysis_rows(results: Mapping[str, MeasureResult]) -> Iterator[TableRow]:
    """Yield a row for each number that was measured."""
    entries = {name: entry.model_dump() for name, entry in results.items()}
    for number, path in NUMBER_PATHS:
        network = _value_at(entries, path, "network")
        if network is None:
            continue
        reference = None
        if NETWORK_OR_REFERENCE in path:
            reference = _value_at(entries, path, "reference")
        text = None if reference is None else number.text(reference)
        yield TableRow(_title(number, entries, path), number.text(network), text)


@dataclass(frozen=True)
class Outcomes:
    """What an attack made for the network does to all test images, and under which threat model."""

    attack: str
    images: int
    counts: dict[str, int]
    """By the title of the outcome."""


def outcomes(results: Mapping[str, MeasureResult]) -> Outcomes | None:
    """Return the outcomes that adversarial examples were chosen from; None without examples."""
    result = find_by_name(results, "examples")
    if result is None:
        return None
    entry = result.model_dump()
    titles = OUTCOMES | OUTCOMES_WITHOUT_REFERENCE
    if "both_hold" in entry["outcomes"]:
        titles = OUTCOMES
    return Outcomes(
        attack=f"PGD-{entry['steps']}, {entry['threat_model']}",
        images=entry["images"],
        counts={titles[name]: count for name, count in entry["outcomes"].items()},
    )


def _title(number: MeasureUnit, entries: Mapping[str, Any], path: Path) -> str:
    """Return the number's title with the threat model under which it was measured, if any."""
    analysis, *_, name = path
    entry = find_by_name(entries, analysis) or {}
    for key in entry.get("values", {}):
        if describe(key).name == name:
            return describe(key).title
    if number is CORRELATION or "threat_model" not in entry:
        return number.title
    return f"{number.title}, {entry['threat_model']}"


def _value_at(entries: dict[str, Any], path: Path, network: str) -> float | None:
    """Return the number at the path; None if there is none."""
    value: Any = entries
    for key in path:
        if not isinstance(value, dict):
            return None
        value = find_by_name(value, network if key == NETWORK_OR_REFERENCE else key)
    return value if isinstance(value, int | float) else None
