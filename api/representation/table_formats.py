"""A sweep's table as text: Markdown for people, CSV for programs that do not read JSON."""

import csv
import io
from collections.abc import Callable

from core.reportspec.measures import column_heading
from core.reportspec.table import Table, TableLine

MEDIA_TYPES = {"md": "text/markdown", "csv": "text/csv"}


def to_markdown(table: Table) -> str:
    """Accuracies in %, mean ± standard deviation; the best line in bold."""
    headings = ["", "jobs", *map(column_heading, table.measures)]
    lines = [_markdown_row(headings), _markdown_row(["---"] * len(headings))]
    for line in table.lines:
        values = [line.text(name) or "–" for name in table.measures]
        cells = [line.name, f"{line.done}/{line.jobs}", *values]
        if line.best:
            cells = [f"**{cell}**" if cell else cell for cell in cells]
        lines.append(_markdown_row(cells))
    return "\n".join(lines) + "\n"


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def to_csv(table: Table) -> str:
    """Accuracies as fractions in [0, 1]: per measure its mean, standard deviation and count."""
    text = io.StringIO()
    writer = csv.writer(text)
    columns = [f"{name}{part}" for name in table.measures for part in ("", "_sd", "_n")]
    writer.writerow(["line", "jobs", "done", "best", *columns])
    writer.writerows(_csv_row(line, table.measures) for line in table.lines)
    return text.getvalue()


def _csv_row(line: TableLine, measures: list[str]) -> list[object]:
    # A name that looks like a formula is quoted, so that no spreadsheet evaluates it.
    is_formula = line.name[:1] in ("=", "+", "-", "@", "\t", "\r")
    row: list[object] = [f"'{line.name}" if is_formula else line.name]
    row += [line.jobs, line.done, line.best]
    for measure in measures:
        cell = line.cells.get(measure)
        if cell is None:
            row += ["", "", ""]
        else:
            row += [cell.mean, "" if cell.sd is None else cell.sd, cell.n]
    return row


WRITERS: dict[str, Callable[[Table], str]] = {"md": to_markdown, "csv": to_csv}
