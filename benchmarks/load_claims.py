"""L4: claims a second, by as many processes as there are claimers, and whether any job was claimed twice."""

import multiprocessing
import time
from typing import Any

from filling import JOB
from served import Database

from core.store import attempts, jobs
from core.store.engine import make_engine, writing
from core.store.tables import DEFAULT_PROJECT, DIGITS_ID

QUEUED, CLAIMERS = 10_000, 16
AT_ONCE = 500


def claims(database: Database, scale: float) -> dict[str, Any]:
    """Each way by which a worker comes to a job: it was told of it (Celery), or it looks for the oldest (polling)."""
    queued = max(CLAIMERS * 5, round(QUEUED * scale))
    return {
        "queued": queued,
        "told": race(database.url, queue(database.url, queued)),
        "looking": race(database.url, None, queued=len(queue(database.url, queued))),
    }


def queue(url: str, count: int) -> list[str]:
    engine = make_engine(url)
    made: list[str] = []
    while len(made) < count:
        with writing(engine) as session:
            for _ in range(min(AT_ONCE, count - len(made))):
                made.append(jobs.submit(session, DEFAULT_PROJECT, JOB, dataset_id=DIGITS_ID).id)
    engine.dispose()
    return made


def race(url: str, told: list[str] | None, queued: int = 0) -> dict[str, Any]:
    """All claimers begin together; the time is that of the first claim's beginning to the last claim's end."""
    fork = multiprocessing.get_context("fork")
    begin, answers = fork.Barrier(CLAIMERS), fork.Queue()
    claimers = [
        fork.Process(target=claim, args=(url, n, None if told is None else told[n::CLAIMERS], begin, answers))
        for n in range(CLAIMERS)
    ]
    for claimer in claimers:
        claimer.start()
    found = [answers.get(timeout=600) for _ in claimers]
    for claimer in claimers:
        claimer.join()
    won = [job_id for _, _, mine in found for job_id in mine]
    seconds = max(end for _, end, _ in found) - min(begun for begun, _, _ in found)
    wanted = queued if told is None else len(told)
    return {
        "claims_per_second": len(won) / seconds,
        "claimed": len(won),
        "left": wanted - len(set(won)),
        "claimed_twice": len(won) - len(set(won)),
    }


def claim(url: str, number: int, told: list[str] | None, begin: Any, answers: Any) -> None:
    engine, name, mine = make_engine(url, patience_seconds=60), f"worker-{number}", []
    attempts.claim(engine, "job_none", name, 600)  # a connection, and statements compiled
    begin.wait()
    began = time.time()
    if told is None:
        while (attempt := attempts.claim_next(engine, name, 600)) is not None:
            mine.append(attempt.job_id)
    else:
        mine = [job_id for job_id in told if attempts.claim(engine, job_id, name, 600) is not None]
    answers.put((began, time.time(), mine))
    engine.dispose()
