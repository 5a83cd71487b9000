"""Figures of the rows of docs/reliability.md: on the screen after every run, and in docs/results where that is asked for.

``./run faults`` writes them at full length (DISTILL_SOAK=1); DISTILL_FIGURES=1 writes those of a scaled run.
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
"""At full length: read here, because no test sees the machine's own settings."""
LENGTH = "full" if SOAK else "scaled"
WRITTEN = SOAK or os.environ.get("DISTILL_FIGURES") == "1"

Record = Callable[[str, object], None]
"""pytest's ``record_property``."""


def figure(record: Record, name: str, value: float | str, wanted: str = "") -> None:
    """What was measured, and what is wanted at full length."""
    record(
        name, {"value": round(value, 3) if isinstance(value, float) else value, "wanted": wanted}
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [
        it
        for name in ("passed", "failed")
        for it in terminalreporter.stats.get(name, [])
        if it.when == "call"
    ]
    found = [line for report in reports for line in lines(report)]
    measured = [line for line in found if line["figure"] != HELD]
    if measured:
        terminalreporter.section("measured")
    for line in measured:
        terminalreporter.write_line(
            f"{line['row']:>4} {line['figure']}: {line['value']} {line['wanted']} [{line['outcome']}]"
        )
    if found and WRITTEN:
        write(found)


HELD = "held"


def lines(report: pytest.TestReport) -> Iterator[dict[str, Any]]:
    """One line for each figure of a test that is named for its row, ``test_j12_…``; one for a test without any."""
    named = re.match(r"test_([jcs]\d+)_(\w+)(?:\[([^\]]*)\])?", report.nodeid.rpartition("::")[2])
    if named is None:
        return
    row, test, variant = named.groups()
    for name, given in report.user_properties or [(HELD, "")]:
        measured = given if isinstance(given, dict) else {"value": given, "wanted": ""}
        what = f"{test.replace('_', ' ')}{f' ({variant})' if variant else ''}"
        yield {
            "row": row.upper(),
            "test": what,
            "figure": name,
            "outcome": report.outcome,
            "length": LENGTH,
            **measured,
        }


def write(found: list[dict[str, Any]]) -> None:
    """faults.json and faults.md; rows that were not run at this length keep what was measured before."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import machine

    path = RESULTS / "faults.json"
    kept = json.loads(path.read_text())["figures"] if path.exists() else []
    run = {(line["row"], line["length"]) for line in found}
    stamped = machine.stamp()
    fresh = [{**line, "date": stamped["date"]} for line in found]
    figures = [line for line in kept if (line["row"], line["length"]) not in run] + fresh
    figures.sort(key=lambda it: (it["row"][0], int(it["row"][1:]), it["length"]))
    machine.write(RESULTS, "faults", {"figures": figures, **stamped}, markdown(figures))


def markdown(figures: list[dict[str, Any]]) -> str:
    head = [
        "# Faults and intruders",
        "",
        "Written by the tests of `tests/faults` and `tests/intruders`: at full length by `./run faults`, scaled down with",
        "`DISTILL_FIGURES=1 ./run test`. What is wanted is wanted at full length; a scaled run has shorter leases and outages.",
        "",
        "| row | test | figure | measured | wanted | length | outcome | date |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(row, figures)]) + "\n"


def row(line: dict[str, Any]) -> str:
    names = ("row", "test", "figure", "value", "wanted", "length", "outcome", "date")
    return "| " + " | ".join(str(line[name]).replace("|", "/") for name in names) + " |"
