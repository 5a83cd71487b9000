"""The load benchmark, scaled down: nothing is lost or done twice. Its times are not checked."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(database: str, out: Path, *rows: str) -> dict[str, Any]:
    """Run the benchmark; results by row."""
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "load.py"),
        "--scale",
        "0.0005",
        "--out",
        str(out),
    ]
    command += ["--databases", database, "--only", *rows]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-5000:]
    table = (out / "load.md").read_text()
    assert all(f"## {row}: " in table for row in rows)
    assert "the bounds do not apply" in table
    results = json.loads((out / "load.json").read_text())["rows"]
    return {row: results[row][database] for row in rows}


def test_l1_l2_every_query_is_answered(tmp_path: Path) -> None:
    """A filled database answers every query of the benchmark."""
    results = run("Postgres", tmp_path, "L1", "L2")
    assert (results["L1"]["jobs"], results["L1"]["points"]) == (500, 10_000)
    assert all(wait["requests"] >= 5 for wait in results["L1"]["questions"].values())
    assert results["L2"]["waits"]["requests"] > 0


def test_l3_l4_l5_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    results = run("SQLite", tmp_path, "L3", "L4", "L5")
    streams = results["L3"]
    assert (streams["missing"], streams["twice"]) == (0, 0)
    # uvicorn shuts down in order, then raises the signal it was sent.
    assert streams["exit_status"] in {0, -signal.SIGTERM}
    assert streams["connections"] > streams["streams"]  # the restart cut them off
    race = results["L4"]
    assert (race["claimed"], race["claimed_twice"], race["left"]) == (race["queued"], 0, 0)
    assert results["L5"]["slow"] is None
