"""The dashboard's benchmark, scaled down: every figure is measured. Its times are not checked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the results of one run."""
    out = tmp_path_factory.mktemp("dashboard")
    script = str(ROOT / "benchmarks" / "dashboard.py")
    command = [sys.executable, script, "--smoke", "--out", str(out)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-5000:]
    return out


@pytest.fixture
def results(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "dashboard.json").read_text())
    return results


def test_every_time_is_measured(results: dict[str, Any]) -> None:
    times = [
        results["first_load"]["usable_ms"],
        results["chart"]["drawn_ms"],
        results["chart"]["redrawn_ms"],
        *results["pages"].values(),
    ]
    assert all(all(milliseconds > 0 for milliseconds in series) for series in times)
    assert 0 < results["first_load"]["script_bytes"] <= 250_000


def test_memory_is_measured_after_all_events(results: dict[str, Any]) -> None:
    live = results["live"]
    # Three jobs: progress each second, an epoch each 30; two events of a job each minute.
    assert live["events"] == 3 * (live["seconds"] + live["seconds"] // 30) + 4
    for samples in live["samples"].values():
        assert len(samples) == len(live["shares"])
        assert all(value > 0 for sample in samples for value in sample.values())


def test_the_page_says_what_was_not_run(folder: Path) -> None:
    page = (folder / "dashboard.md").read_text()
    assert page.count("not run") == 3
    assert "the bounds do not apply" in page
