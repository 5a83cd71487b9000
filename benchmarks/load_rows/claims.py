"""L4: claims per second by many processes at once, and whether any job was claimed twice."""

import multiprocessing
import time
from typing import Any

from database_filler import JOB
from service_processes import Database
from sqlalchemy import Engine

from core.store import attempts, jobs, workers
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID

QUEUED = 10_000
CLAIMERS = 16
JOBS_PER_TRANSACTION = 500


def claims(database: Database, scale: float) -> dict[str, Any]:
    """Queue jobs, then let every claimer claim the oldest one until none is left, as workers do."""
    queued = max(CLAIMERS * 5, round(QUEUED * scale))
    queue(database.url, queued)
    return {"queued": queued, **race(database.url, queued)}


def queue(url: str, count: int) -> None:
    engine = make_engine(url)
    for begin in range(0, count, JOBS_PER_TRANSACTION):
        with write_session(engine) as session:
            for _ in range(begin, min(begin + JOBS_PER_TRANSACTION, count)):
                jobs.submit(session, DEFAULT_PROJECT, JOB, dataset_id=DIGITS_ID)
    engine.dispose()


def race(url: str, queued: int) -> dict[str, Any]:
    """Start all claimers together and time from the first claim's start to the last one's end."""
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(CLAIMERS)
    results = fork.Queue()
    claimers = [
        fork.Process(target=claim, args=(url, n, barrier, results)) for n in range(CLAIMERS)
    ]
    for claimer in claimers:
        claimer.start()
    claims_of_each = [results.get(timeout=600) for _ in claimers]
    for claimer in claimers:
        claimer.join()
    claimed = [job_id for _, _, job_ids in claims_of_each for job_id in job_ids]
    first_start = min(start for start, _, _ in claims_of_each)
    seconds = max(end for _, end, _ in claims_of_each) - first_start
    return {
        "claims_per_second": len(claimed) / seconds,
        "claimed": len(claimed),
        "left": queued - len(set(claimed)),
        "claimed_twice": len(claimed) - len(set(claimed)),
    }


def warm_up(engine: Engine, worker: str) -> None:
    """Open a connection and compile the claim's statement: a draining worker is given no job."""
    with write_session(engine) as session:
        workers.register(session, worker, version="", protocol=0, slots=1, lease_seconds=600)
        workers.set_draining(session, worker)
    attempts.claim(engine, worker, 600)


def claim(url: str, number: int, barrier: Any, results: Any) -> None:
    engine = make_engine(url, timeout_seconds=60)
    name = f"worker-{number}"
    job_ids = []
    warm_up(engine, f"drained-{number}")
    barrier.wait()
    start = time.time()
    while (attempt := attempts.claim(engine, name, 600)) is not None:
        job_ids.append(attempt.job_id)
    results.put((start, time.time(), job_ids))
    engine.dispose()
