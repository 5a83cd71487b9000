"""A sweep's table as text: Markdown for people, CSV for programs that read no JSON."""

import csv
import io
from collections.abc import Callable

from core.reportspec.measures import heading
from core.reportspec.table import Line, Table

MEDIA_TYPES = {"md": "text/markdown", "csv": "text/csv"}


def to_markdown(table: Table) -> str:
    """Accuracies in %, mean ± SD; the best line in bold."""
    headings = ["", "jobs", *map(heading, table.measures)]
    lines = [_row(headings), _row(["---"] * len(headings))]
    for line in table.lines:
        cells = [
            line.name,
            f"{line.done}/{line.jobs}",
            *(line.text(name) or "–" for name in table.measures),
        ]
        lines.append(_row([f"**{cell}**" if line.best and cell else cell for cell in cells]))
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def to_csv(table: Table) -> str:
    """Shares as they are, in [0, 1]. What begins like a formula is quoted, so that no spreadsheet runs it."""
    text = io.StringIO()
    writer = csv.writer(text)
    columns = [f"{name}{part}" for name in table.measures for part in ("", "_sd", "_n")]
    writer.writerow(["line", "jobs", "done", "best", *columns])
    writer.writerows(_values(line, table.measures) for line in table.lines)
    return text.getvalue()


def _values(line: Line, measures: list[str]) -> list[object]:
    name = f"'{line.name}" if line.name[:1] in ("=", "+", "-", "@", "\t", "\r") else line.name
    found: list[object] = [name, line.jobs, line.done, line.best]
    for measure in measures:
        cell = line.cells.get(measure)
        found += (
            ["", "", ""]
            if cell is None
            else [cell.mean, "" if cell.sd is None else cell.sd, cell.n]
        )
    return found


WRITERS: dict[str, Callable[[Table], str]] = {"md": to_markdown, "csv": to_csv}
