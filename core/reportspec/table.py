"""The table of a sweep: a line for each combination, with mean and deviation over the seeds."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from core.reportspec.measures import (
    HELD_OUT_ROBUST,
    Measure,
    describe,
    format_value,
    sort_key,
)

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
        mean = format_value(measure, self.mean)
        return mean if self.sd is None else f"{mean} ± {format_value(measure, self.sd)}"


class TableLine(_TablePart):
    name: str
    jobs: int
    """Number of jobs of this line."""
    done: int
    """Number of jobs that have succeeded. The cells are taken over these."""
    best: bool
    """Whether it has the highest mean robust accuracy on held-out images of all lines whose jobs
    have all succeeded. Only lines that were validated under the same threat model are compared."""
    cells: dict[str, TableCell]
    """By the measure's key."""

    def text(self, measure: str) -> str:
        """Return the text of a cell, empty where there is none."""
        return self.cells[measure].text(measure) if measure in self.cells else ""


class Table(_TablePart):
    network: str
    """best: the epoch chosen by held-out images; last: the last epoch; model: of evaluations."""
    measures: list[str]
    """Keys of which at least one line has a number: accuracies first, by threat model."""
    descriptions: dict[str, Measure]
    """What each key says: attack, norm, radius, steps or version, title and unit."""
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
    best = _best_lines(by_line, cells)
    lines = [
        TableLine(
            name=line,
            jobs=len(jobs),
            done=sum(job.succeeded for job in jobs),
            best=line in best,
            cells=cells[line],
        )
        for line, jobs in by_line.items()
    ]
    measures = sorted({measure for line in lines for measure in line.cells}, key=sort_key)
    descriptions = {key: describe(key) for key in measures}
    return Table(network=selected, measures=measures, descriptions=descriptions, lines=lines)


def _best_lines(
    by_line: Mapping[str, list[JobOutcome]], cells: Mapping[str, Mapping[str, TableCell]]
) -> set[str]:
    """Return the best of the complete lines of each threat model, where it has several lines.

    No line is chosen by its test images.
    """
    lines_by_key: dict[str, list[str]] = {}
    for line in by_line:
        for key in cells[line]:
            if describe(key).name == HELD_OUT_ROBUST:
                lines_by_key.setdefault(key, []).append(line)
    best = set()
    for key, lines in lines_by_key.items():
        complete = [line for line in lines if all(job.succeeded for job in by_line[line])]
        others = len(lines) if len(lines_by_key) > 1 else len(by_line)
        if complete and others > 1:
            best.add(max(complete, key=lambda line: cells[line][key].mean))
    return best


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
