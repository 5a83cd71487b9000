"""L4: claims a second, by as many processes as there are claimers, and whether any job was claimed twice."""

import multiprocessing
import time
from typing import Any

from filling import JOB
from served import Database

from core.store import attempts, jobs
from core.store.database.engine import make_engine, writing
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID

QUEUED, CLAIMERS = 10_000, 16
AT_ONCE = 500


def claims(database: Database, scale: float) -> dict[str, Any]:
    """Each claims the oldest job, as every worker does."""
    queued = max(CLAIMERS * 5, round(QUEUED * scale))
    queue(database.url, queued)
    return {"queued": queued, **race(database.url, queued)}


def queue(url: str, count: int) -> None:
    engine = make_engine(url)
    for begin in range(0, count, AT_ONCE):
        with writing(engine) as session:
            for _ in range(begin, min(begin + AT_ONCE, count)):
                jobs.submit(session, DEFAULT_PROJECT, JOB, dataset_id=DIGITS_ID)
    engine.dispose()


def race(url: str, queued: int) -> dict[str, Any]:
    """All claimers begin together; the time is that of the first claim's beginning to the last claim's end."""
    fork = multiprocessing.get_context("fork")
    begin, answers = fork.Barrier(CLAIMERS), fork.Queue()
    claimers = [fork.Process(target=claim, args=(url, n, begin, answers)) for n in range(CLAIMERS)]
    for claimer in claimers:
        claimer.start()
    found = [answers.get(timeout=600) for _ in claimers]
    for claimer in claimers:
        claimer.join()
    won = [job_id for _, _, mine in found for job_id in mine]
    seconds = max(end for _, end, _ in found) - min(begun for begun, _, _ in found)
    return {
        "claims_per_second": len(won) / seconds,
        "claimed": len(won),
        "left": queued - len(set(won)),
        "claimed_twice": len(won) - len(set(won)),
    }


def claim(url: str, number: int, begin: Any, answers: Any) -> None:
    engine, name, mine = make_engine(url, patience_seconds=60), f"worker-{number}", []
    attempts.claim(engine, "job_none", name, 600)  # a connection, and statements compiled
    begin.wait()
    began = time.time()
    while (attempt := attempts.claim_next(engine, name, 600)) is not None:
        mine.append(attempt.job_id)
    answers.put((began, time.time(), mine))
    engine.dispose()
