"""J2, J3, J4: wake-up messages that are never sent, lost, duplicated or late."""

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
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import TIMEOUT_SECONDS, Deployment, kill_service
from tests.faults.tcp_proxy import TcpProxy
from tests.servers import Redis
from tests.worker.results import endless_job, short_job
from tests.worker.service import Service, wait_for

START_BOUND = "at most 15"
DUPLICATES = 50
LATE_MESSAGES = 5
MESSAGES = 1 + DUPLICATES + LATE_MESSAGES


def list_job_ids(deployment: Deployment) -> list[str]:
    with read_session(deployment.engine) as session:
        return list(session.scalars(select(JobRow.id)))


def test_j2_job_starts_if_its_api_dies_after_the_commit(
    server_deployment: Deployment, redis_server: Redis, record_figure: RecordFigure
) -> None:
    """The API is killed between commit and wake-up."""
    with TcpProxy(redis_server.port) as broker, ThreadPoolExecutor() as pool:
        api = server_deployment.start_api(DISTILL_BROKER_URL=f"redis://127.0.0.1:{broker.port}/0")
        server_deployment.start_worker()
        broker.blackhole()
        response = pool.submit(api.http.post, "/v1/jobs", json=training_body())
        [job_id] = wait_for(lambda: list_job_ids(server_deployment), TIMEOUT_SECONDS, "the commit")
        kill_service(api)
        killed_at = time.monotonic()
        with pytest.raises(httpx2.TransportError):
            response.result(30)
        server_deployment.wait_for_start(job_id)
        record_figure("until the job starts, s", time.monotonic() - killed_at, START_BOUND)


def test_j3_jobs_start_if_their_wakeups_are_lost(
    server_deployment: Deployment, redis_server: Redis, record_figure: RecordFigure
) -> None:
    """One message is popped and lost, then Redis is emptied."""
    server_deployment.environment["DISTILL_SLOTS"] = "3"
    worker = server_deployment.start_worker(arguments=("--concurrency", "3"))
    first_id = server_deployment.submit(endless_job())
    server_deployment.wait_for_start(first_id)
    worker.send(signal.SIGSTOP)  # it is connected, but receives nothing
    job_ids = [server_deployment.submit(endless_job()) for _ in range(2)]
    with redis.Redis.from_url(redis_server.url) as client:
        message = client.lpop(QUEUE)
        assert message is None or job_ids[1] in str(message) or job_ids[0] in str(message)
    redis_server.flush()
    worker.send(signal.SIGCONT)
    resumed_at = time.monotonic()
    for job_id in job_ids:
        server_deployment.wait_for_start(job_id)
    record_figure("until every job has started, s", time.monotonic() - resumed_at, START_BOUND)


def handling_seconds(workers: list[Service]) -> list[float]:
    """Return how long the workers took for each message, in ascending order."""
    text = "".join(worker.log.read_text() for worker in workers)
    pattern = rf"{re.escape(TASK)}\[\S+\] succeeded in ([\d.e-]+)s"
    return sorted(float(seconds) for seconds in re.findall(pattern, text))


def count_claims(deployment: Deployment, job_id: str) -> int:
    with read_session(deployment.engine) as session:
        status_events = events.list_of_type(session, job_id, "status")
    return len([event for event in status_events if event.data["to"] == "running"])


def test_j4_duplicate_and_late_messages_start_one_attempt(
    server_deployment: Deployment, redis_server: Redis, record_figure: RecordFigure
) -> None:
    """Fifty duplicates and five messages after the end of the job do nothing."""
    deployment = server_deployment
    workers = [deployment.start_worker(name, ("--loglevel", "INFO")) for name in ("one", "other")]
    job_id = deployment.submit(short_job(1))
    celery = make_app(redis_server.url)
    for _ in range(DUPLICATES):
        celery.send_task(TASK, args=[job_id], ignore_result=True)
    deployment.wait_for_end(job_id)
    for _ in range(LATE_MESSAGES):
        celery.send_task(TASK, args=[job_id], ignore_result=True)
    wait_for(
        lambda: len(handling_seconds(workers)) >= MESSAGES, TIMEOUT_SECONDS, "every message's end"
    )
    seconds = handling_seconds(workers)
    deployment.assert_one_result(job_id)
    assert deployment.get_job(job_id).attempt == 1
    assert count_claims(deployment, job_id) == 1
    record_figure("messages without effect", len(seconds) - 1)
    record_figure("the slowest of them, s", seconds[-2], "at most 1")


def test_j4_message_of_a_new_job_starts_the_oldest_job(
    server_deployment: Deployment, redis_server: Redis
) -> None:
    """Otherwise a released job, whose wake-up is sent last, would wait for all the others."""
    old_id, new_id = (server_deployment.submit(short_job(1)) for _ in range(2))
    redis_server.flush()
    make_app(redis_server.url).send_task(TASK, args=[new_id], ignore_result=True)
    server_deployment.start_worker()
    old_job = server_deployment.wait_for_end(old_id)
    new_job = server_deployment.wait_for_end(new_id)
    assert 0 < (old_job.started_at or 0) < (new_job.started_at or 0)
