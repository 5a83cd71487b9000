"""Cells that comparisons and leaderboards share. In text accuracies are in %, in CSV in [0, 1]."""

from collections.abc import Iterable, Mapping

from api.representation.tables.text import Cell
from core.reportspec.accuracies import AccuracyValue, DifferenceValue
from core.reportspec.measures import Measure, sort_key
from core.reportspec.report import ThreatModelDescription

SECTION_COLUMNS = ("dataset", "norm", "radius")
DIFFERENCE_COLUMNS = (
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "adjusted_p",
    "verdict",
    "paired",
)


def accuracy_text(value: AccuracyValue | None) -> str:
    """56.67 (51.5–61.7), in %."""
    if value is None:
        return "–"
    text = f"{100 * value.value:.2f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} ({100 * value.low:.1f}–{100 * value.high:.1f})"


def difference_text(difference: DifferenceValue | None) -> str:
    """+6.94 (+3.2 to +10.7), in points of %, with a true minus sign."""
    if difference is None:
        return ""
    text = signed(difference.value, 2)
    if difference.low is None or difference.high is None:
        return text
    return f"{text} ({signed(difference.low, 1)} to {signed(difference.high, 1)})"


def signed(share: float, decimals: int) -> str:
    return f"{100 * share:+.{decimals}f}".replace("-", "\u2212")


def result_columns(keys: Iterable[str]) -> list[str]:
    """Return the CSV columns of ``result_cells``: each key's accuracy, its interval and number of
    images, and the difference.
    """
    accuracies = [f"{key}{part}" for key in keys for part in ("", "_low", "_high", "_images")]
    return [*accuracies, *DIFFERENCE_COLUMNS]


def result_cells(
    keys: Iterable[str],
    results: Mapping[str, AccuracyValue],
    difference: DifferenceValue | None,
) -> list[Cell]:
    """Return what one network has measured; cells of what it has not are empty."""
    cells = [cell for key in keys for cell in _accuracy_cells(results.get(key))]
    return [*cells, *_difference_cells(difference)]


def _accuracy_cells(value: AccuracyValue | None) -> list[Cell]:
    if value is None:
        return [None] * 4
    return [value.value, value.low, value.high, value.images]


def _difference_cells(difference: DifferenceValue | None) -> list[Cell]:
    if difference is None:
        return [None] * len(DIFFERENCE_COLUMNS)
    return [
        difference.value,
        difference.low,
        difference.high,
        difference.p,
        difference.adjusted_p,
        difference.verdict,
        difference.paired,
    ]


def section_cells(dataset: str | None, threat_model: ThreatModelDescription | None) -> list[Cell]:
    """Return the cells of ``SECTION_COLUMNS``; those of a threat model are empty without one."""
    if threat_model is None:
        return [dataset, None, None]
    return [dataset, threat_model.norm, threat_model.radius]


def section_title(dataset: str | None, threat_model: ThreatModelDescription | None) -> str:
    """digits, L∞, 0.15."""
    threat = "no attack" if threat_model is None else threat_model.title
    return f"{dataset or 'unknown data'}, {threat}"


def headings(descriptions: dict[str, Measure], measures: Iterable[str]) -> list[str]:
    """Return the headings of the measures' columns, whose threat model the title says."""
    return [f"{descriptions[key].label} %" for key in measures]


def all_measures(sections: Iterable[Iterable[str]]) -> list[str]:
    """Return the keys of all sections, in the order of tables."""
    return sorted({key for measures in sections for key in measures}, key=sort_key)
