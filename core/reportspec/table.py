"""The table of a sweep: a line for each combination, with mean and deviation over the seeds."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from core.reportspec.measures import find_unit, is_accuracy, sort_key

SELECTION_MEASURE = "held_out_robust"
"""Robust accuracy on held-out training images: no line is chosen by its test images."""

Results = Mapping[str, Mapping[str, float]]
"""Numbers by network and measure."""


class _TablePart(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class TableCell(_TablePart):
    """One measure over the seeds."""

    mean: float
    sd: float | None
    """Standard deviation over the seeds (divided by n - 1); null for a single seed."""
    n: int
    """Number of seeds."""

    def text(self, measure: str) -> str:
        """Return mean ± SD in the unit of the column's heading."""
        if is_accuracy(measure):
            factor, digits = 100.0, ".2f"
        else:
            factor, digits = find_unit(measure).scale, ".4g"
        mean = f"{factor * self.mean:{digits}}"
        return mean if self.sd is None else f"{mean} ± {factor * self.sd:{digits}}"


class TableLine(_TablePart):
    name: str
    jobs: int
    """Number of jobs of this line."""
    done: int
    """Number of jobs that have succeeded. The cells are taken over these."""
    best: bool
    """Whether it has the highest mean robust accuracy on held-out images of all lines whose jobs
    have all succeeded."""
    cells: dict[str, TableCell]
    """By measure."""

    def text(self, measure: str) -> str:
        """Return the text of a cell, empty where there is none."""
        return self.cells[measure].text(measure) if measure in self.cells else ""


class Table(_TablePart):
    network: str
    """best: the epoch chosen by held-out images; last: the last epoch; model: of evaluations."""
    measures: list[str]
    """Measures of which at least one line has a number, accuracies first."""
    lines: list[TableLine]


@dataclass(frozen=True)
class JobOutcome:
    """One job of a sweep: its line, whether it has succeeded, and its numbers."""

    line: str
    succeeded: bool
    results: Results


def tabulate(outcomes: Iterable[JobOutcome], network: str = "best") -> Table:
    """Return the table of one network, with the lines in their first order.

    Evaluations have one network, "model", which is shown whatever ``network`` says.
    """
    by_line: dict[str, list[JobOutcome]] = {}
    for outcome in outcomes:
        by_line.setdefault(outcome.line, []).append(outcome)
    networks = {name for jobs in by_line.values() for job in jobs for name in job.results}
    selected = "model" if networks == {"model"} else network
    cells = {
        line: _cells([job.results.get(selected, {}) for job in jobs if job.succeeded])
        for line, jobs in by_line.items()
    }
    best = _best_line(by_line, cells)
    lines = [
        TableLine(
            name=line,
            jobs=len(jobs),
            done=sum(job.succeeded for job in jobs),
            best=line == best,
            cells=cells[line],
        )
        for line, jobs in by_line.items()
    ]
    measures = sorted({measure for line in lines for measure in line.cells}, key=sort_key)
    return Table(network=selected, measures=measures, lines=lines)


def _best_line(
    by_line: Mapping[str, list[JobOutcome]], cells: Mapping[str, Mapping[str, TableCell]]
) -> str | None:
    """Return the best of the complete lines; None where there is nothing to choose."""
    if len(by_line) <= 1:
        return None
    complete = [
        line
        for line, jobs in by_line.items()
        if all(job.succeeded for job in jobs) and SELECTION_MEASURE in cells[line]
    ]
    return max(complete, key=lambda line: cells[line][SELECTION_MEASURE].mean, default=None)


def _cells(results: list[Mapping[str, float]]) -> dict[str, TableCell]:
    measures = dict.fromkeys(measure for numbers in results for measure in numbers)
    return {
        measure: _cell([numbers[measure] for numbers in results if measure in numbers])
        for measure in measures
    }


def _cell(values: list[float]) -> TableCell:
    return TableCell(
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        n=len(values),
    )
