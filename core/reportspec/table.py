"""The table of a sweep: a line for each combination, mean and standard deviation over its seeds, the best one marked."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from core.reportspec.measures import is_accuracy, unit_of, sort_key

SELECTION_MEASURE = "held_out_robust"
"""Robust accuracy on held-out training images: a line is never chosen by its test images."""

Results = Mapping[str, Mapping[str, float]]


class _TablePart(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class TableCell(_TablePart):
    """One measure over the seeds."""

    mean: float
    sd: float | None
    """Standard deviation of the seeds (divided by n - 1); null for a single one."""
    n: int

    def text(self, measure: str) -> str:
        """Mean ± SD, in the unit that its column's heading names."""
        factor, digits = (100, ".2f") if is_accuracy(measure) else (unit_of(measure).scale, ".4g")
        return f"{factor * self.mean:{digits}}" + (
            f" ± {factor * self.sd:{digits}}" if self.sd is not None else ""
        )


class TableLine(_TablePart):
    name: str
    jobs: int
    done: int
    """Jobs that have succeeded: those that the cells are taken over."""
    best: bool
    """Of the complete lines, the one with the highest mean accuracy on held-out images under attack."""
    cells: dict[str, TableCell]

    def text(self, measure: str) -> str:
        """Of its cell; empty where it has none."""
        return self.cells[measure].text(measure) if measure in self.cells else ""


class Table(_TablePart):
    network: str
    """best: the epoch chosen by held-out images; last: the last epoch; model: of evaluations."""
    measures: list[str]
    """What at least one line has a number of: accuracies first."""
    lines: list[TableLine]


@dataclass(frozen=True)
class JobOutcome:
    """One job's: its line, whether it has succeeded, and its numbers by network and measure."""

    line: str
    succeeded: bool
    results: Results


def tabulate(outcomes: Iterable[JobOutcome], network: str = "best") -> Table:
    """Lines in the order in which they first come. Of an evaluation, whose one network is "model", that one's numbers."""
    by_line: dict[str, list[JobOutcome]] = {}
    for outcome in outcomes:
        by_line.setdefault(outcome.line, []).append(outcome)
    networks = {name for every in by_line.values() for it in every for name in it.results}
    shown = "model" if networks == {"model"} else network
    cells = {
        line: _cells([it.results.get(shown, {}) for it in every if it.succeeded])
        for line, every in by_line.items()
    }
    complete = [
        line
        for line, every in by_line.items()
        if all(it.succeeded for it in every) and SELECTION_MEASURE in cells[line]
    ]
    best = (
        max(complete, key=lambda line: cells[line][SELECTION_MEASURE].mean, default=None)
        if len(by_line) > 1
        else None
    )
    lines = [
        TableLine(
            name=line,
            jobs=len(every),
            done=sum(it.succeeded for it in every),
            best=line == best,
            cells=cells[line],
        )
        for line, every in by_line.items()
    ]
    measures = sorted({measure for line in lines for measure in line.cells}, key=sort_key)
    return Table(network=shown, measures=measures, lines=lines)


def _cells(results: list[Mapping[str, float]]) -> dict[str, TableCell]:
    measures = dict.fromkeys(measure for found in results for measure in found)
    return {
        measure: _cell([found[measure] for found in results if measure in found])
        for measure in measures
    }


def _cell(values: list[float]) -> TableCell:
    return TableCell(
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        n=len(values),
    )
