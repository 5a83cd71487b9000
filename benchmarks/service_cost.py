"""What the service costs: latencies, time to the first training step, overhead on a job, memory.

    python benchmarks/service_cost.py [--requests N] [--epochs N] [--pairs N] [--out docs/results]

Starts real processes on this machine: the API on SQLite and on Postgres, and the embedded service.
Bounds: submit p50 20 ms with one client; 15 s from submission to the first training step on an idle
service; a job through the service 2 % longer than bare; 150 MB resident for the API, 120 MB for the
supervisor. Writes service_cost.json and service_cost.md.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx2
import psutil
from result_files import stamp, write
from service_processes import KEY, environment, process, wait_ready

from core.job_folder import JobFolder
from core.jobspec.data import DIGITS
from core.jobspec.resolved import ResolvedAdversarialTrainingSpec
from distill_client import Distill
from tests.servers import Postgres, free_port

JOB: dict[str, Any] = {
    "kind": "adversarial_training",
    "student": {"architecture": "small_cnn", "width": 16},
    "data": {"dataset": "digits", "held_out": 0.1},
    "adversary": {"name": "pgd", "radius": 0.15, "step_size": 0.0375, "steps": 10},
}
MB = 1e6


# -- latencies


def latencies(database: str, folder: Path, requests: int) -> dict[str, Any]:
    """Latencies of the API alone: without a worker, jobs stay queued."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "DISTILL_HOME": str(folder),
        "DISTILL_DATABASE_URL": database,
        "DISTILL_PORT": str(port),
        "DISTILL_BOOTSTRAP_KEY": KEY,
    }
    subprocess.run(
        [sys.executable, "-m", "core.store.commands.setup"], env=environment(**settings), check=True
    )
    with process("-m", "api", log=folder / "api.log", **settings) as api:
        wait_ready(url)
        results: dict[str, Any] = {
            str(clients): latencies_of(url, clients, requests) for clients in (1, 8)
        }
        results["api_rss_bytes"] = psutil.Process(api.pid).memory_info().rss
    return results


def latencies_of(url: str, clients: int, requests: int) -> dict[str, dict[str, float]]:
    headers = {"Authorization": f"Bearer {KEY}"}
    sessions = [httpx2.Client(base_url=url, headers=headers, timeout=30) for _ in range(clients)]
    first = sessions[0].post("/v1/jobs", json=JOB).json()["id"]
    calls: dict[str, Callable[[httpx2.Client], httpx2.Response]] = {
        "submit": lambda session: session.post("/v1/jobs", json=JOB),
        "get": lambda session: session.get(f"/v1/jobs/{first}"),
        "list": lambda session: session.get("/v1/jobs", params={"limit": 50}),
    }
    return {name: quantiles(call, sessions, requests) for name, call in calls.items()}


def quantiles(
    call: Callable[[httpx2.Client], httpx2.Response], sessions: list[httpx2.Client], requests: int
) -> dict[str, float]:
    def repeat(session: httpx2.Client) -> list[float]:
        call(session)
        times = []
        for _ in range(requests):
            start = time.perf_counter()
            call(session).raise_for_status()
            times.append(1000 * (time.perf_counter() - start))
        return times

    with ThreadPoolExecutor(len(sessions)) as pool:
        times = sorted(value for values in pool.map(repeat, sessions) for value in values)
    return {
        "p50_ms": statistics.median(times),
        "p99_ms": times[min(len(times) - 1, round(0.99 * len(times)))],
    }


# -- one job


def one_job(folder: Path, epochs: int, pairs: int) -> dict[str, Any]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with process(
        "-m",
        "embedded",
        "--port",
        str(port),
        "--data",
        str(folder),
        log=folder.with_suffix(".log"),
        DISTILL_THREADS="1",
    ) as embedded:
        wait_ready(url)
        distill = Distill(url, (folder / "admin.key").read_text().strip())
        time.sleep(3)
        memory = resident(embedded.pid)
        first_steps = [first_step_seconds(distill) for _ in range(3)]
        times = [
            (bare_seconds(distill, epochs), service_seconds(distill, epochs)) for _ in range(pairs)
        ]
    return {
        "submission_to_first_step_seconds": first_steps,
        "bare_seconds": [pair[0] for pair in times],
        "through_service_seconds": [pair[1] for pair in times],
        "overhead": statistics.median(pair[1] for pair in times)
        / statistics.median(pair[0] for pair in times)
        - 1,
        "resident_bytes": memory,
    }


def resident(pid: int) -> dict[str, int]:
    """Resident memory of the API and of the supervisor, idle."""
    rss = {}
    for child in psutil.Process(pid).children(recursive=True):
        line = " ".join(child.cmdline())
        for name, mark in (("api", "-m api"), ("supervisor", "-m worker.polling")):
            if mark in line:
                rss[name] = child.memory_info().rss
    return rss


def first_step_seconds(distill: Distill) -> float:
    """From submission until a client can see the first step, publishing interval included."""
    start = time.perf_counter()
    job = distill.submit({**JOB, "schedule": {"epochs": 1000}})
    while not (job.progress and job.progress.step):
        time.sleep(0.05)
        job = distill.job(job.id)
    seconds = time.perf_counter() - start
    distill.cancel(job.id)
    distill.wait(job.id)
    return seconds


def service_seconds(distill: Distill, epochs: int) -> float:
    """From claim to end: fetching inputs, training, evaluation, publishing."""
    job = distill.wait(distill.submit({**JOB, "schedule": {"epochs": epochs}}).id)
    if job.status != "succeeded" or job.started_at is None or job.finished_at is None:
        raise SystemExit(f"the job {job.status}")
    return (
        datetime.fromisoformat(job.finished_at) - datetime.fromisoformat(job.started_at)
    ).total_seconds()


def bare_seconds(distill: Distill, epochs: int) -> float:
    """The same resolved spec without the service: ``python -m core.distillation FOLDER``."""
    spec = distill.dry_run({**JOB, "schedule": {"epochs": epochs}}).spec
    with tempfile.TemporaryDirectory() as path:
        folder = JobFolder(Path(path))
        folder.create(ResolvedAdversarialTrainingSpec.model_validate(spec), dataset=DIGITS)
        start = time.perf_counter()
        settings = environment(DISTILL_THREADS="1", OMP_WAIT_POLICY="PASSIVE")
        subprocess.run([sys.executable, "-m", "core.distillation", path], env=settings, check=True)
        return time.perf_counter() - start


def markdown(data: dict[str, Any]) -> str:
    lines = ["# What the service costs", "", "Written by `benchmarks/service_cost.py`.", ""]
    lines += [
        "| database | clients | submit p50 / p99 (ms) | get p50 / p99 | list p50 / p99 |",
        "|---|---|---|---|---|",
    ]
    for database, results in data["latencies"].items():
        for clients in ("1", "8"):
            spreads = [results[clients][name] for name in ("submit", "get", "list")]
            cells = [f"{each['p50_ms']:.1f} / {each['p99_ms']:.1f}" for each in spreads]
            lines.append(f"| {database} | {clients} | {' | '.join(cells)} |")
    job = data["one_job"]
    first_steps, bare, service = (
        ", ".join(f"{value:.1f}" for value in job[name])
        for name in ("submission_to_first_step_seconds", "bare_seconds", "through_service_seconds")
    )
    lines += [
        "",
        "- From submission to the first training step on an idle embedded service: "
        f"{first_steps} s (bound: 15).",
        f"- The same job bare: {bare} s; through the service: {service} s; "
        f"{100 * job['overhead']:+.1f} % (bound: 2).",
        f"- Resident memory, idle: API {job['resident_bytes']['api'] / MB:.0f} MB, "
        f"supervisor {job['resident_bytes']['supervisor'] / MB:.0f} MB; after the requests above: "
        + ", ".join(
            f"API on {name} {results['api_rss_bytes'] / MB:.0f} MB"
            for name, results in data["latencies"].items()
        )
        + " (bounds: 150 and 120).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=200, help="of each kind, per client")
    parser.add_argument(
        "--epochs", type=int, default=80, help="of the job that runs bare and through the service"
    )
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        server = Postgres().start()
        try:
            latencies_by_database = {}
            for name, url in (("SQLite", ""), ("Postgres", server.create_database("bench"))):
                (folder / name).mkdir()
                latencies_by_database[name] = latencies(url, folder / name, arguments.requests)
        finally:
            server.close()
        data = {
            "settings": {"requests": arguments.requests, "epochs": arguments.epochs, "job": JOB},
            "latencies": latencies_by_database,
            "one_job": one_job(folder / "embedded", arguments.epochs, arguments.pairs),
            **stamp(),
        }
    write(arguments.out, "service_cost", data, markdown(data))


if __name__ == "__main__":
    main()
