"""A sweep's table as text."""

from api.representation.tables.text import Cell, TextTable, to_csv
from core.reportspec.measures import column_heading
from core.reportspec.table import Table, TableLine


def sweep_tables(table: Table) -> list[TextTable]:
    """Accuracies in %, mean ± standard deviation; the best line in bold."""
    rows = [
        [
            line.name,
            f"{line.done}/{line.jobs}",
            *(line.text(measure) or "–" for measure in table.measures),
        ]
        for line in table.lines
    ]
    bold = frozenset(index for index, line in enumerate(table.lines) if line.best)
    return [TextTable("", ["", "jobs", *map(column_heading, table.measures)], rows, bold)]


def sweep_csv(table: Table) -> str:
    """Accuracies as fractions in [0, 1]: per measure its mean, standard deviation and count."""
    columns = [f"{name}{part}" for name in table.measures for part in ("", "_sd", "_n")]
    rows = [_csv_row(line, table.measures) for line in table.lines]
    return to_csv(["line", "jobs", "done", "best", *columns], rows)


def _csv_row(line: TableLine, measures: list[str]) -> list[Cell]:
    row: list[Cell] = [line.name, line.jobs, line.done, line.best]
    for measure in measures:
        cell = line.cells.get(measure)
        row += [None, None, None] if cell is None else [cell.mean, cell.sd, cell.n]
    return row
