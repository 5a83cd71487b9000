"""MLflow's tracking server with the same runs.

They are written through its own REST interface, except for the points between the first and the
last of each curve: these are inserted into its SQLite file, as REST would take minutes.
"""

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from dashboard_parts.seeded_runs import HELD_OUT, Run
from tests.measured_jobs import IMAGES
from tests.servers import free_port

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
    url = f"http://127.0.0.1:{free_port()}"
    folder.mkdir()
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    artifacts = ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    command = [str(python), "-m", "mlflow", "server", "--port", url.rpartition(":")[2]]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *store, *artifacts], stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=url, timeout=60) as client:
            version = _wait_ready(client)
            experiment_id = _call(client, "experiments/create", name="benchmark")["experiment_id"]
            run_ids = [_write(client, experiment_id, run, points) for run in runs]
        _insert_points(folder / "mlflow.db", dict(zip(run_ids, runs, strict=True)), points)
        yield MlflowServer(url, version, experiment_id, run_ids)
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


def _wait_ready(client: httpx2.Client) -> str:
    """Return the server's version. Raises SystemExit where it does not start."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if client.get("/health").status_code == 200:
                return client.get("/version").text.strip()
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit("MLflow did not start.")


def _write(client: httpx2.Client, experiment_id: str, run: Run, points: int) -> str:
    """Create a run with its results and its curve's last point; return its id."""
    created = _call(
        client,
        "runs/create",
        experiment_id=experiment_id,
        run_name=run.name,
        start_time=STARTED_AT_MS,
    )
    run_id: str = created["run"]["info"]["run_id"]
    *_, (step, value) = run.curve(points)
    values = {HELD_OUT: value} | {
        key.split("@")[0]: correct / IMAGES for key, correct in run.results.items()
    }
    logged = [
        {"key": key, "value": value, "timestamp": STARTED_AT_MS + step, "step": step}
        for key, value in values.items()
    ]
    parameters = {"learning_rate": run.rate, "seed": run.seed, "method": "trades"}
    params = [{"key": key, "value": str(value)} for key, value in parameters.items()]
    _call(client, "runs/log-batch", run_id=run_id, metrics=logged, params=params)
    end = STARTED_AT_MS + points
    _call(client, "runs/update", run_id=run_id, status="FINISHED", end_time=end)
    return run_id


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


def _call(client: httpx2.Client, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"/api/2.0/mlflow/{path}", json=body)
    response.raise_for_status()
    data: dict[str, Any] = response.json()
    return data
