"""J7: Redis is killed, frozen, emptied, for a minute."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from core.errors import Conflict
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.jobs import apply_action
from tests.faults.conftest import Figure
from tests.faults.deployment import PATIENCE_SECONDS, Deployment, fresh_redis
from tests.measurements import SOAK
from tests.servers import Redis
from tests.worker.results import endless_job
from tests.worker.service import wait_for

OUTAGE_SECONDS = 60 if SOAK else 3
FAULTS = ("killed", "frozen", "emptied again and again")


@contextmanager
def broken(redis: Redis, fault: str) -> Iterator[None]:
    over = threading.Event()

    def empty() -> None:
        while not over.wait(0.01):
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
            emptying = threading.Thread(target=empty)
            emptying.start()
            yield
            over.set()
            emptying.join()


def test_j7_without_redis_jobs_are_accepted_and_go_on_and_begin_when_it_is_back(
    tmp_path: Path, postgres_url: str, s3: dict[str, Any], figure: Figure
) -> None:
    with ExitStack() as stack:
        redis = fresh_redis(stack)
        deployment = stack.enter_context(Deployment.on_servers(tmp_path, postgres_url, redis, s3))
        deployment.settings["DISTILL_SLOTS"] = "2"
        api = deployment.api()
        deployment.worker(arguments=("--concurrency", "2"))
        undisturbed = deployment.submit(endless_job())
        deployment.until_begun(undisturbed)
        for fault in FAULTS:
            with broken(redis, fault):
                waiting, slowest = submit_for(OUTAGE_SECONDS, api.http)
            began = time.monotonic()
            # There is one free slot: whichever of them a message reaches first has it.
            wait_for(
                lambda made=waiting: any(deployment.look(it).started_at for it in made),
                PATIENCE_SECONDS,
                "the backlog",
            )
            figure(f"{fault}: the slowest of {len(waiting)} submissions, s", slowest, "at most 2")
            figure(f"{fault}: until the backlog begins, s", time.monotonic() - began, "at most 15")
            for job_id in reversed(waiting):
                cancel(deployment, job_id)
            for job_id in waiting:
                deployment.until_done(job_id)
        job = deployment.look(undisturbed)
        assert (job.status, job.attempt, job.infrastructure_failures) == ("running", 1, 0)
        seen = job.progress
        wait_for(
            lambda: deployment.look(undisturbed).progress != seen, 60, "progress of the running job"
        )


def cancel(deployment: Deployment, job_id: str) -> None:
    with write_session(deployment.engine) as session, suppress(Conflict):
        apply_action(session, DEFAULT_PROJECT, job_id, "cancel")


def submit_for(seconds: float, http: Any) -> tuple[list[str], float]:
    """Ids of what was accepted one after another for so long, and the longest wait for an answer."""
    made, slowest, end = [], 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        answer = http.post("/v1/jobs", json=endless_job().model_dump(mode="json"))
        slowest = max(slowest, time.monotonic() - began)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
        time.sleep(min(1.0, seconds / 10))
    return made, slowest
