"""Tables as text: what means something to a spreadsheet, to Markdown or to LaTeX is only text."""

import csv
import io
from typing import Any

import pytest

from api.representation.tables.pages import page_csv
from api.representation.tables.text import (
    TextTable,
    escape_latex,
    to_csv,
    to_latex,
    to_markdown,
)

TABLE = TextTable(
    "50 % & more",
    ["name", "a|b"],
    [["x_1\n", "−1.5"], ["<script>", ""]],
    frozenset({0}),
    note="A note.",
)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_text_in_csv(text: str) -> None:
    [[heading], [cell]] = csv.reader(io.StringIO(to_csv([text], [[text]]), newline=""))
    assert cell == heading == f"'{text}"


def test_numbers_are_numbers_in_csv() -> None:
    assert to_csv(["a", "b", "c", "d"], [[-0.5, 1e-300, None, True]]).splitlines() == [
        "a,b,c,d",
        "-0.5,1e-300,,True",
    ]


def test_page_of_unlike_items_has_all_columns() -> None:
    items: list[dict[str, Any]] = [
        {"id": "a", "metadata": {"x": "1"}, "list": [1, {"é": 2}]},
        {"id": "b", "metadata": {"y": "="}, "results": {"best": {"clean": 0.5}}},
    ]
    rows = list(csv.DictReader(io.StringIO(page_csv(items))))
    assert rows[0] == {
        "id": "a",
        "metadata.x": "1",
        "list": '[1, {"é": 2}]',
        "metadata.y": "",
        "results.best.clean": "",
    }
    assert (rows[1]["metadata.y"], rows[1]["results.best.clean"]) == ("'=", "0.5")
    assert page_csv([]) == "\r\n"


def test_markdown_cells_cannot_end_early() -> None:
    assert to_markdown([TABLE]).splitlines() == [
        "### 50 % & more",
        "",
        "| name | a\\|b |",
        "| --- | --- |",
        "| **x_1 ** | **−1.5** |",
        "| &lt;script> |  |",
        "",
        "A note.",
    ]


def test_latex_prints_every_character() -> None:
    assert escape_latex(r"a\b{c}$d%e#f_g&h~i^j") == (
        r"a\textbackslash{}b\{c\}\$d\%e\#f\_g\&h\textasciitilde{}i\textasciicircum{}j"
    )
    text = to_latex([TABLE])
    assert text.splitlines() == [
        r"% Needs \usepackage{booktabs}.",
        "% 50 % & more",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"name & a\textbar{}b \\",
        r"\midrule",
        r"\textbf{x\_1 } & \textbf{$-$1.5} \\",
        r"\textless{}script\textgreater{} &  \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% A note.",
    ]
