"""MLflow's tracking server with the same runs.

They are written by its own client, except for the points before the last of each curve: these are
inserted into its SQLite file, as the client would take minutes.
"""

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from dashboard_parts.seeded_runs import HELD_OUT, Run
from tests.measured_jobs import IMAGES
from tests.servers import free_port

WRITER = Path(__file__).parent / "mlflow_writer.py"
START_SECONDS = 120.0
STARTED_AT_MS = 1_750_000_000_000


@dataclass(frozen=True)
class MlflowServer:
    """A running server. ``run_ids``: in the order of the runs."""

    url: str
    version: str
    experiment_id: str
    run_ids: list[str]


@contextmanager
def mlflow_server(
    python: Path, folder: Path, runs: list[Run], points: int
) -> Iterator[MlflowServer]:
    """Start the MLflow of this interpreter on an SQLite store of its own, and fill it."""
    folder.mkdir()
    store = f"sqlite:///{folder}/mlflow.db"
    experiment_id, run_ids = _write(python, store, runs, points)
    _insert_points(folder / "mlflow.db", dict(zip(run_ids, runs, strict=True)), points)
    url = f"http://127.0.0.1:{free_port()}"
    command = [str(python), "-m", "mlflow", "server", "--port", url.rpartition(":")[2]]
    command += ["--backend-store-uri", store, "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield MlflowServer(url, _wait_ready(url), experiment_id, run_ids)
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server and every process that it has started."""
    processes = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _, alive = psutil.wait_procs([psutil.Process(process.pid), *processes], 10)
    for remaining in alive:
        remaining.kill()
    process.wait(60)


def _wait_ready(url: str) -> str:
    """Return the server's version. Raises SystemExit where it does not start."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{url}/health", timeout=10).status_code == 200:
                return httpx2.get(f"{url}/version", timeout=10).text.strip()
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit("MLflow did not start.")


def _write(python: Path, store: str, runs: list[Run], points: int) -> tuple[str, list[str]]:
    """Write the runs, each with its curve's last point; return the experiment's id and theirs."""
    bodies = []
    for run in runs:
        *_, (step, value) = run.curve(points)
        results = {key.split("@")[0]: correct / IMAGES for key, correct in run.results.items()}
        body = {
            "name": run.name,
            "metrics": {HELD_OUT: value, **results},
            "parameters": {"learning_rate": run.rate, "seed": run.seed, "method": "trades"},
            "step": step,
            "started_at": STARTED_AT_MS,
        }
        bodies.append(body)
    result = subprocess.run(
        [str(python), str(WRITER), store],
        input=json.dumps(bodies),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    experiment_id, run_ids = json.loads(result.stdout.splitlines()[-1])
    return experiment_id, run_ids


def _insert_points(database: Path, runs: dict[str, Run], points: int) -> None:
    rows = (
        (HELD_OUT, value, STARTED_AT_MS + step, run_id, step, False)
        for run_id, run in runs.items()
        for step, value in run.curve(points)
        if step < points
    )
    connection = sqlite3.connect(database, timeout=60)
    with connection:
        connection.executemany(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
    connection.close()
