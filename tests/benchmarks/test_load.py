"""The benchmarks under load, made small: what they measure is held to nothing here but what must not be lost."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(database: str, out: Path, *rows: str) -> dict[str, Any]:
    """What was measured, by row."""
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "load.py"),
        "--scale",
        "0.0005",
        "--out",
        str(out),
    ]
    command += ["--databases", database, "--only", *rows]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    table = (out / "load.md").read_text()
    assert all(f"## {row}: " in table for row in rows)
    assert "none of this is held to its bound" in table
    found = json.loads((out / "load.json").read_text())["rows"]
    return {row: found[row][database] for row in rows}


def test_l1_l2_a_filled_database_answers_everything_that_is_asked_of_it(tmp_path: Path) -> None:
    found = run("Postgres", tmp_path, "L1", "L2")
    assert (found["L1"]["jobs"], found["L1"]["points"]) == (500, 10_000)
    assert all(wait["requests"] >= 5 for wait in found["L1"]["questions"].values())
    assert found["L2"]["waits"]["requests"] > 0


def test_l3_l4_l5_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    found = run("SQLite", tmp_path, "L3", "L4", "L5")
    streams = found["L3"]
    assert (streams["missing"], streams["twice"]) == (0, 0)
    assert streams["exit_status"] in {
        0,
        -signal.SIGTERM,
    }  # uvicorn ends in good order, and then by the signal it was sent
    assert streams["connections"] > streams["streams"]  # the restart cut them off
    race = found["L4"]
    assert (race["claimed"], race["claimed_twice"], race["left"]) == (race["queued"], 0, 0)
    assert found["L5"]["slow"] is None
