"""L1 and L2: lists and jobs of a large database; throughput of one API process under load."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

import psutil
from database_filler import JOB, FilledDatabase, fill
from http_clients import Client, latencies, quantiles, throughput
from service_processes import Database

from core.store import attempts, jobs, metrics
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from load_rows.report import COUNTED

JOBS = 1_000_000
PGD = "pgd-20@linf:8/255"
POINTS = 10_000_000
READERS = 10
LISTERS = 20
REPORTERS = 4
REPORT_SECONDS = 0.5
"""As often as a worker reads its trainer's events."""


def large(database: Database, scale: float) -> dict[str, Any]:
    """L1: latencies of ten clients at once, by query."""
    start = time.perf_counter()
    filled = fill(database.url, round(JOBS * scale), round(POINTS * scale))
    filling_seconds = time.perf_counter() - start
    requests = max(2, min(100, round(100 * scale**0.5)))
    with database.api() as (url, _):
        latencies_by_query = {
            name: quantiles(latencies(url, paths, READERS, requests))
            for name, paths in queries(filled).items()
        }
        counting = latencies(url, ["/v1/jobs?limit=50&include_total=true"], 1, 5)
        latencies_by_query[COUNTED] = quantiles(counting)
    return {
        "jobs": filled.jobs,
        "points": filled.points,
        "filling_seconds": filling_seconds,
        "questions": latencies_by_query,
    }


def queries(filled: FilledDatabase) -> dict[str, list[str]]:
    """Paths by name: every way to list jobs, and to read one."""
    lists = {
        "first page": "",
        "page half way": f"after={filled.middle_cursor}",
        "oldest first": "sort=created_at",
        "by status": "status=failed",
        "by two statuses": "status=queued&status=running",
        "by kind": "kind=adversarial_training",
        "by method": "method=starship",
        "by student": "student=wrn_28_10",
        "by data set": "dataset=digits",
        "by metadata": "metadata[team]=team-7",
        "by metadata and status": "metadata[team]=team-7&status=failed",
        "by status and method, half way": (
            f"status=failed&method=trades&after={filled.middle_cursor}"
        ),
        "nothing found": "status=cancelling&method=trades",
        "by a result": f"sort=-{PGD}",
        "by a result, of one method": f"sort=-{PGD}&method=starship",
        "by a result, of failed jobs": f"sort=-{PGD}&status=failed",
        "by a result that few have": f"sort=-{PGD}&metadata[team]=team-7&status=failed",
        "by a result that none has": "sort=-autoattack@linf:8/255",
        "with a high result": f"result[{PGD}]=>=0.9999",
        "with almost any result": f"result[{PGD}]=>=0.01",
        "with a word of few": f"q={filled.job_ids[0][-7:]}",
        "with words of all": "q=job%20team",
    }
    pages = {name: [f"/v1/jobs?limit=50&{query}"] for name, query in lists.items()}
    pages["job page"] = [f"/v1/jobs/{job_id}" for job_id in filled.job_ids]
    pages["job that waits"] = [
        f"/v1/jobs/{job_id}" for job_id in filled.queued_ids or filled.job_ids
    ]
    pages["metrics of a job"] = [
        f"/v1/jobs/{job_id}/metrics?points=200" for job_id in filled.metric_ids
    ]
    return pages


def rate(database: Database, scale: float) -> dict[str, Any]:
    """L2: lists per second of one API process, for 20 clients that never pause.

    Meanwhile four workers publish metrics and progress every half second.
    """
    seconds = max(1.0, 30 * min(1, scale))
    fill(database.url, round(10_000 * scale) + 100, 0)
    with database.api() as (url, api), reporting(database.url):
        Client(url).get("/v1/jobs")
        alone, _ = throughput(url, "/v1/jobs", 1, seconds / 4)
        cpu_before = sum(psutil.Process(api.pid).cpu_times()[:2])
        latencies_ms, per_second = throughput(url, "/v1/jobs", LISTERS, seconds)
        cpu_ms = (
            1000 * (sum(psutil.Process(api.pid).cpu_times()[:2]) - cpu_before) / len(latencies_ms)
        )
    return {
        "lists_per_second": per_second,
        "cpu_ms_per_list": cpu_ms,
        "waits": quantiles(latencies_ms),
        "one_client": quantiles(alone),
    }


@contextmanager
def reporting(url: str) -> Iterator[None]:
    """Processes that publish what a worker publishes, without training."""
    fork = multiprocessing.get_context("fork")
    ready = fork.Semaphore(0)
    stop = fork.Event()
    workers = [
        fork.Process(target=report, args=(url, f"worker-{n}", ready, stop))
        for n in range(REPORTERS)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        if not ready.acquire(timeout=60):
            raise SystemExit("A reporter did not start.")
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("A reporter failed.")


def report(url: str, name: str, ready: Any, stop: Event) -> None:
    """Claim a job, then publish metrics and progress every half second."""
    engine = make_engine(url)
    with write_session(engine) as session:
        jobs.submit(session, DEFAULT_PROJECT, JOB, dataset_id=DIGITS_ID)
    attempt = attempts.claim(engine, name, 3600)
    if attempt is None:
        raise SystemExit(f"{name} could not claim a job.")
    ready.release()
    step = 0
    while not stop.wait(REPORT_SECONDS):
        step += 10
        with attempt.fenced_session() as (session, job):
            metrics.record(
                session,
                attempt.job_id,
                attempt.number,
                step,
                dict.fromkeys(("loss", "kl", "accuracy", "rate"), 0.5),
            )
            job.progress = {"phase": "training", "step": step, "of": 10_000}
    engine.dispose()
