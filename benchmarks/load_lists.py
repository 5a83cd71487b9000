"""L1 and L2: lists and job pages of a large database, and the rate of one API process while workers report."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

import psutil
from clients import Client, for_a_while, spread, waits
from filling import JOB, Filled, fill
from load_tables import COUNTED
from served import Database

from core.store import attempts, jobs, metrics
from core.store.database.engine import make_engine, writing
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID

JOBS, POINTS = 1_000_000, 10_000_000
READERS = 10
LISTERS, REPORTERS = 20, 4
REPORT_SECONDS = 0.5
"""As often as a worker looks at what its trainer has said."""


def large(database: Database, scale: float) -> dict[str, Any]:
    """L1: waits of ten clients at once, by what they ask for."""
    began = time.perf_counter()
    filled = fill(database.url, round(JOBS * scale), round(POINTS * scale))
    filling_seconds = time.perf_counter() - began
    requests = max(2, min(100, round(100 * scale**0.5)))
    with database.api() as (url, _):
        found = {
            name: spread(waits(url, paths, READERS, requests))
            for name, paths in questions(filled).items()
        }
        found[COUNTED] = spread(waits(url, ["/v1/jobs?limit=50&include_total=true"], 1, 5))
    return {
        "jobs": filled.jobs,
        "points": filled.points,
        "filling_seconds": filling_seconds,
        "questions": found,
    }


def questions(filled: Filled) -> dict[str, list[str]]:
    """Everything that the interface can be asked about many jobs, and about one."""
    lists = {
        "first page": "",
        "page half way": f"after={filled.middle}",
        "oldest first": "sort=created_at",
        "by status": "status=failed",
        "by two statuses": "status=queued&status=running",
        "by kind": "kind=adversarial_training",
        "by method": "method=starship",
        "by student": "student=wrn_28_10",
        "by data set": "dataset=digits",
        "by metadata": "metadata[team]=team-7",
        "by metadata and status": "metadata[team]=team-7&status=failed",
        "by status and method, half way": f"status=failed&method=trades&after={filled.middle}",
        "nothing found": "status=cancelling&method=trades",
    }
    pages = {name: [f"/v1/jobs?limit=50&{query}"] for name, query in lists.items()}
    pages["job page"] = [f"/v1/jobs/{job_id}" for job_id in filled.some]
    pages["job that waits"] = [f"/v1/jobs/{job_id}" for job_id in filled.waiting or filled.some]
    pages["metrics of a job"] = [
        f"/v1/jobs/{job_id}/metrics?points=200" for job_id in filled.measured
    ]
    return pages


def rate(database: Database, scale: float) -> dict[str, Any]:
    """L2: lists a second of one API process, 20 clients without pause, while 4 workers report every half second."""
    seconds = max(1.0, 30 * min(1, scale))
    fill(database.url, round(10_000 * scale) + 100, 0)
    with database.api() as (url, api), reporting(database.url):
        Client(url).get("/v1/jobs")
        alone, _ = for_a_while(url, "/v1/jobs", 1, seconds / 4)
        before = sum(psutil.Process(api.pid).cpu_times()[:2])
        found, per_second = for_a_while(url, "/v1/jobs", LISTERS, seconds)
        cpu_ms = 1000 * (sum(psutil.Process(api.pid).cpu_times()[:2]) - before) / len(found)
    return {
        "lists_per_second": per_second,
        "cpu_ms_per_list": cpu_ms,
        "waits": spread(found),
        "one_client": spread(alone),
    }


@contextmanager
def reporting(url: str) -> Iterator[None]:
    """Workers of which only the reports are real."""
    fork = multiprocessing.get_context("fork")
    ready, over = fork.Semaphore(0), fork.Event()
    workers = [
        fork.Process(target=report, args=(url, f"worker-{n}", ready, over))
        for n in range(REPORTERS)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        if not ready.acquire(timeout=60):
            raise SystemExit("a reporter did not begin")
    try:
        yield
    finally:
        over.set()
        for worker in workers:
            worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a reporter failed")


def report(url: str, name: str, ready: Any, over: Event) -> None:
    """A job of its own, and what a training step brings every half second: metrics, and how far it is."""
    engine = make_engine(url)
    with writing(engine) as session:
        job_id = jobs.submit(session, DEFAULT_PROJECT, JOB, dataset_id=DIGITS_ID).id
    attempt = attempts.claim(engine, job_id, name, 3600)
    if attempt is None:
        raise SystemExit(f"{name} could not claim its own job")
    ready.release()
    step = 0
    while not over.wait(REPORT_SECONDS):
        step += 10
        with attempt.writing() as (session, job):
            metrics.record(
                session,
                job_id,
                attempt.number,
                step,
                dict.fromkeys(("loss", "kl", "accuracy", "rate"), 0.5),
            )
            job.progress = {"phase": "training", "step": step, "of": 10_000}
    engine.dispose()
