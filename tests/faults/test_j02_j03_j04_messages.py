"""J2, J3, J4: messages that are never sent, lost, doubled and late. The row is the truth."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import redis
from sqlalchemy import select

from core.queue import QUEUE, TASK, make_app
from core.store import events
from core.store.database.engine import read_session
from core.store.database.tables import JobRow
from tests.builders import training_body
from tests.faults.conftest import Figure
from tests.faults.deployment import PATIENCE_SECONDS, Deployment, kill
from tests.faults.proxy import Proxy
from tests.servers import Redis
from tests.worker.results import endless_job, short_job
from tests.worker.service import wait_for

WANTED = "at most 15"
DUPLICATES, LATE = 50, 5


def queued(deployment: Deployment) -> list[str]:
    with read_session(deployment.engine) as session:
        return list(session.scalars(select(JobRow.id)))


def test_j2_a_job_whose_api_dies_between_commit_and_message_starts_all_the_same(
    served: Deployment, redis_server: Redis, figure: Figure
) -> None:
    with Proxy(redis_server.port) as broker, ThreadPoolExecutor() as pool:
        api = served.api(DISTILL_BROKER_URL=f"redis://127.0.0.1:{broker.port}/0")
        served.worker()
        broker.blackhole()
        answer = pool.submit(api.http.post, "/v1/jobs", json=training_body())
        [job_id] = wait_for(lambda: queued(served), PATIENCE_SECONDS, "the commit")
        kill(api)
        began = time.monotonic()
        with pytest.raises(httpx2.TransportError):
            answer.result(30)
        served.until_begun(job_id)
        figure("until the job has begun, s", time.monotonic() - began, WANTED)


def test_j3_jobs_whose_messages_are_lost_start_all_the_same(
    served: Deployment, redis_server: Redis, figure: Figure
) -> None:
    served.settings["DISTILL_SLOTS"] = "3"
    worker = served.worker(arguments=("--concurrency", "3"))
    first = served.submit(endless_job())
    served.until_begun(first)
    worker.send(signal.SIGSTOP)  # a worker that listens, and hears nothing
    lost = [served.submit(endless_job()) for _ in range(2)]
    with redis.Redis.from_url(redis_server.url) as client:
        taken = client.lpop(QUEUE)
        assert taken is None or lost[1] in str(taken) or lost[0] in str(taken)
    redis_server.flush()
    worker.send(signal.SIGCONT)
    began = time.monotonic()
    for job_id in lost:
        served.until_begun(job_id)
    figure("until every job has begun, s", time.monotonic() - began, WANTED)


def test_j4_a_message_that_comes_fifty_times_and_late_begins_one_attempt(
    served: Deployment, redis_server: Redis, figure: Figure
) -> None:
    workers = [served.worker(name, ("--loglevel", "INFO")) for name in ("one", "other")]
    job_id = served.submit(short_job(1))
    celery = make_app(redis_server.url)
    for _ in range(DUPLICATES):
        celery.send_task(TASK, args=[job_id], ignore_result=True)
    served.until_done(job_id)
    for _ in range(LATE):
        celery.send_task(TASK, args=[job_id], ignore_result=True)

    def handled() -> list[float]:
        """Seconds that each message took."""
        text = "".join(worker.log.read_text() for worker in workers)
        return sorted(
            float(found)
            for found in re.findall(rf"{re.escape(TASK)}\[\S+\] succeeded in ([\d.e-]+)s", text)
        )

    taken = wait_for(
        lambda: len(handled()) >= 1 + DUPLICATES + LATE and handled(),
        PATIENCE_SECONDS,
        "every message's end",
    )
    served.assert_one_result(job_id)
    assert served.look(job_id).attempt == 1
    with read_session(served.engine) as session:
        claims = [
            event
            for event in events.list_of_type(session, job_id, "status")
            if event.data["to"] == "running"
        ]
    assert len(claims) == 1
    figure("messages that did nothing", len(taken) - 1)
    figure("the slowest of them, s", taken[-2], "at most 1")


def test_j4_a_message_of_a_new_job_begins_the_oldest_one_that_waits(
    served: Deployment, redis_server: Redis
) -> None:
    """One that was given back and is hinted at last, behind all others, would wait for them all."""
    old, new = (served.submit(short_job(1)) for _ in range(2))
    redis_server.flush()
    make_app(redis_server.url).send_task(TASK, args=[new], ignore_result=True)
    served.worker()
    began = [job.started_at or 0 for job in map(served.until_done, (old, new))]
    assert 0 < began[0] < began[1]
