"""Deployments to be broken, and the figures that are measured while they are."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.deployment import SOAK, Deployment
from tests.servers import Redis

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
LONGEST_SECONDS = 3600
Figure = Callable[..., None]


@pytest.fixture
def served(tmp_path: Path, postgres_url: str, redis_server: Redis, redis_url: str, s3: dict[str, Any]) -> Iterator[Deployment]:
    """On Postgres, Redis and S3. Nobody may kill or freeze these servers: others use them."""
    with Deployment.on_servers(tmp_path, postgres_url, redis_server, s3) as deployment:
        yield deployment


@pytest.fixture
def embedded(tmp_path: Path, sqlite_url: str) -> Iterator[Deployment]:
    """On SQLite and a folder."""
    with Deployment.on_files(tmp_path, sqlite_url) as deployment:
        yield deployment


@pytest.fixture(params=["served", "embedded"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    found: Deployment = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """``figure("seconds until it runs again", 4.2, "at most 60")``: what was measured, and what is wanted at full length."""

    def record(name: str, value: float | str, wanted: str = "") -> None:
        record_property(name, {"value": round(value, 3) if isinstance(value, float) else value, "wanted": wanted})

    return record


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """At full length a test takes its time."""
    for item in items:
        if SOAK and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST_SECONDS), append=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was measured, on the screen; at full length also in docs/results, in place of the same rows' older figures."""
    reports = [it for name in ("passed", "failed") for it in terminalreporter.stats.get(name, []) if it.when == "call"]
    found = [line for report in reports for line in lines(report)]
    if not found:
        return
    terminalreporter.section("measured under faults")
    for line in found:
        terminalreporter.write_line(f"{line['row']:>4} {line['figure']}: {line['value']} {line['wanted']} [{line['outcome']}]")
    if SOAK:
        write(found)


def lines(report: pytest.TestReport) -> Iterator[dict[str, Any]]:
    """One line for each figure of a test that is named for its row: ``test_j12_…``."""
    named = re.match(r"test_([a-z]\d+)_(\w+)(?:\[([^\]]*)\])?", report.nodeid.rpartition("::")[2])
    if named is None:
        return
    row, test, variant = named.groups()
    for name, given in report.user_properties or [("held", "")]:
        measured = given if isinstance(given, dict) else {"value": given, "wanted": ""}
        what = f"{test.replace('_', ' ')}{f' ({variant})' if variant else ''}"
        yield {"row": row.upper(), "test": what, "figure": name, "outcome": report.outcome, **measured}


def write(found: list[dict[str, Any]]) -> None:
    """faults.json and faults.md; rows that were not run keep what was measured before."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import machine

    path = RESULTS / "faults.json"
    kept = json.loads(path.read_text())["figures"] if path.exists() else []
    run = {line["row"] for line in found}
    stamped = machine.stamp()
    fresh = [{**line, "date": stamped["date"]} for line in found]
    figures = sorted([line for line in kept if line["row"] not in run] + fresh, key=lambda it: (it["row"][0], int(it["row"][1:])))
    table = ["# Faults, at full length", "", "Written by `./run faults`.", "", "| row | test | figure | measured | wanted | |"]
    table += ["|---|---|---|---|---|---|"]
    table += [
        f"| {it['row']} | {it['test']} | {it['figure']} | {it['value']} | {it['wanted']} | {it['outcome']} |" for it in figures
    ]
    machine.write(RESULTS, "faults", {"figures": figures, **stamped}, "\n".join(table) + "\n")
