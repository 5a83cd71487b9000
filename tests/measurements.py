"""Figures that fault tests record: printed after every run, and written to docs/results on request.

``./run faults`` writes them at full length (DISTILL_SOAK=1); DISTILL_FIGURES=1 writes those of a
scaled run.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
SOAK = os.environ.get("DISTILL_SOAK") == "1"
"""Run at full length. Read here, because tests do not see the environment's own settings."""
LENGTH = "full" if SOAK else "scaled"
WRITES_RESULTS = SOAK or os.environ.get("DISTILL_FIGURES") == "1"

RecordProperty = Callable[[str, object], None]
"""pytest's ``record_property``."""


def record_figure(record: RecordProperty, name: str, value: float | str, bound: str = "") -> None:
    """Record a measured value and its bound at full length."""
    record(name, {"value": round(value, 3) if isinstance(value, float) else value, "wanted": bound})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
    ]
    lines = [line for report in reports for line in result_lines(report)]
    measured = [line for line in lines if line["figure"] != WITHOUT_FIGURE]
    if measured:
        terminalreporter.section("measured")
    for line in measured:
        terminalreporter.write_line(
            f"{line['row']:>4} {line['figure']}: {line['value']} {line['wanted']} "
            f"[{line['outcome']}]"
        )
    if lines and WRITES_RESULTS:
        write_results(lines)


WITHOUT_FIGURE = "held"


def result_lines(report: pytest.TestReport) -> Iterator[dict[str, Any]]:
    """Yield a line per figure of a test named for its row (``test_j12_…``); one if it has none."""
    test_name = report.nodeid.rpartition("::")[2]
    match = re.match(r"test_([jcs]\d+)_(\w+)(?:\[([^\]]*)\])?", test_name)
    if match is None:
        return
    row, test, variant = match.groups()
    suffix = f" ({variant})" if variant else ""
    for name, value in report.user_properties or [(WITHOUT_FIGURE, "")]:
        measured = value if isinstance(value, dict) else {"value": value, "wanted": ""}
        yield {
            "row": row.upper(),
            "test": test.replace("_", " ") + suffix,
            "figure": name,
            "outcome": report.outcome,
            "length": LENGTH,
            **measured,
        }


def write_results(lines: list[dict[str, Any]]) -> None:
    """Write faults.json and faults.md; rows not run at this length keep their earlier figures."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import result_files

    path = RESULTS / "faults.json"
    earlier = json.loads(path.read_text())["figures"] if path.exists() else []
    rows_run = {(line["row"], line["length"]) for line in lines}
    stamp = result_files.stamp()
    figures = [line for line in earlier if (line["row"], line["length"]) not in rows_run]
    figures += [{**line, "date": stamp["date"]} for line in lines]
    figures.sort(key=lambda line: (line["row"][0], int(line["row"][1:]), line["length"]))
    result_files.write(RESULTS, "faults", {"figures": figures, **stamp}, markdown(figures))


def markdown(figures: list[dict[str, Any]]) -> str:
    head = [
        "# Faults and intruders",
        "",
        "Written by the tests of `tests/faults` and `tests/intruders`: at full length by",
        "`./run faults`, scaled down with `DISTILL_FIGURES=1 ./run test`. Bounds are for full",
        "length; a scaled run has shorter leases and outages.",
        "",
        "| row | test | figure | measured | bound | length | outcome | date |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(table_row, figures)]) + "\n"


def table_row(line: dict[str, Any]) -> str:
    names = ("row", "test", "figure", "value", "wanted", "length", "outcome", "date")
    return "| " + " | ".join(str(line[name]).replace("|", "/") for name in names) + " |"
