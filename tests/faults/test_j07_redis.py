"""J7: Redis is killed, frozen or emptied."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from core.errors import Conflict
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.jobs import apply_action
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import TIMEOUT_SECONDS, Deployment, start_redis
from tests.measurements import SOAK
from tests.servers import Redis
from tests.worker.results import endless_job
from tests.worker.service import wait_for

OUTAGE_SECONDS = 60 if SOAK else 3
FAULTS = ("killed", "frozen", "emptied repeatedly")


@contextmanager
def outage(redis: Redis, fault: str) -> Iterator[None]:
    end = threading.Event()

    def empty_repeatedly() -> None:
        while not end.wait(0.01):
            redis.flush()

    match fault:
        case "killed":
            redis.kill()
            yield
            redis.start()
        case "frozen":
            redis.freeze()
            yield
            redis.thaw()
        case _:
            thread = threading.Thread(target=empty_repeatedly)
            thread.start()
            yield
            end.set()
            thread.join()


def test_j7_jobs_are_accepted_and_run_without_redis(
    tmp_path: Path, postgres_url: str, s3: dict[str, Any], record_figure: RecordFigure
) -> None:
    """Running jobs are not affected, and the backlog starts when Redis is back."""
    with ExitStack() as stack:
        redis = start_redis(stack)
        deployment = stack.enter_context(Deployment.on_servers(tmp_path, postgres_url, redis, s3))
        deployment.environment["DISTILL_SLOTS"] = "2"
        api = deployment.start_api()
        deployment.start_worker(arguments=("--concurrency", "2"))
        running_id = deployment.submit(endless_job())
        deployment.wait_for_start(running_id)
        for fault in FAULTS:
            with outage(redis, fault):
                backlog, slowest = submit_repeatedly(OUTAGE_SECONDS, api.http)
            ended_at = time.monotonic()
            wait_for_any_start(deployment, backlog)
            seconds = time.monotonic() - ended_at
            record_figure(
                f"{fault}: slowest of {len(backlog)} submissions, s", slowest, "at most 2"
            )
            record_figure(f"{fault}: until the backlog starts, s", seconds, "at most 15")
            cancel_all(deployment, backlog)
        job = deployment.get_job(running_id)
        assert (job.status, job.attempt, job.infrastructure_failures) == ("running", 1, 0)
        wait_for(
            lambda: deployment.get_job(running_id).progress != job.progress,
            60,
            "progress of the running job",
        )


def wait_for_any_start(deployment: Deployment, job_ids: list[str]) -> None:
    """One slot is free: the first job that a message reaches gets it."""
    wait_for(
        lambda: any(deployment.get_job(job_id).started_at for job_id in job_ids),
        TIMEOUT_SECONDS,
        "the start of the backlog",
    )


def cancel_all(deployment: Deployment, job_ids: list[str]) -> None:
    """Cancel the jobs, the newest first, and wait for their end."""
    for job_id in reversed(job_ids):
        with write_session(deployment.engine) as session, suppress(Conflict):
            apply_action(session, DEFAULT_PROJECT, job_id, "cancel")
    for job_id in job_ids:
        deployment.wait_for_end(job_id)


def submit_repeatedly(seconds: float, http: httpx2.Client) -> tuple[list[str], float]:
    """Submit one job after another for so long.

    Return the ids of the jobs, all of which were accepted, and the longest time of a response in
    seconds.
    """
    job_ids: list[str] = []
    slowest = 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sent_at = time.monotonic()
        response = http.post("/v1/jobs", json=endless_job().model_dump(mode="json"))
        slowest = max(slowest, time.monotonic() - sent_at)
        assert response.status_code == 201, response.text
        job_ids.append(response.json()["id"])
        time.sleep(min(1.0, seconds / 10))
    return job_ids, slowest
