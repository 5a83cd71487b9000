"""Tables as text: CSV for programs and spreadsheets, Markdown and LaTeX for people."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Cell = str | int | float | bool | None
TableFormat = Literal["json", "csv", "md", "tex"]
MEDIA_TYPES: dict[TableFormat, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "md": "text/markdown",
    "tex": "application/x-tex",
}
FORMULA_CHARACTERS = ("=", "+", "-", "@", "\t", "\r")
"""With which a cell begins that a spreadsheet would evaluate."""
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u00b1": r"$\pm$",
    "\u2212": r"$-$",
    "\u221e": r"$_\infty$",
    "\u2013": "--",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class TextTable:
    """A table for people. The first column holds words, the others hold numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    bold: frozenset[int] = frozenset()
    """Indices of the rows in bold."""
    note: str = ""


def to_csv(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return CSV (RFC 4180). Numbers stay numbers; a text that looks like a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_csv_cell(heading) for heading in headings])
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _csv_cell(cell: Cell) -> str | int | float:
    if cell is None:
        return ""
    if isinstance(cell, str):
        # The apostrophe tells a spreadsheet that the rest is text.
        return f"'{cell}" if cell.startswith(FORMULA_CHARACTERS) else cell
    return cell


def to_markdown(tables: Iterable[TextTable]) -> str:
    return "\n".join(_markdown_table(table) for table in tables)


def _markdown_table(table: TextTable) -> str:
    lines = [f"### {_markdown_cell(table.title)}", ""] if table.title else []
    lines.append(_markdown_row(table.headings))
    lines.append(_markdown_row(["---"] * len(table.headings)))
    for index, row in enumerate(table.rows):
        is_bold = index in table.bold
        lines.append(_markdown_row([f"**{cell}**" if is_bold and cell else cell for cell in row]))
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_markdown_cell, cells)) + " |"


def _markdown_cell(text: str) -> str:
    return _CONTROL.sub(" ", text).replace("|", "\\|").replace("<", "&lt;")


def to_latex(tables: Iterable[TextTable]) -> str:
    """Return tabulars that need the package booktabs."""
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(map(_latex_table, tables))


def _latex_table(table: TextTable) -> str:
    columns = "l" + "r" * (len(table.headings) - 1)
    lines = [f"% {_CONTROL.sub(' ', table.title)}"] if table.title else []
    lines += [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    lines += [_latex_row(table.headings), "\\midrule"]
    for index, row in enumerate(table.rows):
        lines.append(_latex_row(row, is_bold=index in table.bold))
    lines += ["\\bottomrule", "\\end{tabular}"]
    if table.note:
        lines.append(f"% {_CONTROL.sub(' ', table.note)}")
    return "\n".join(lines) + "\n"


def _latex_row(cells: Iterable[str], *, is_bold: bool = False) -> str:
    escaped = [escape_latex(cell) for cell in cells]
    if is_bold:
        escaped = [f"\\textbf{{{cell}}}" if cell else cell for cell in escaped]
    return " & ".join(escaped) + " \\\\"


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(LATEX.get(character, character) for character in _CONTROL.sub(" ", text))
