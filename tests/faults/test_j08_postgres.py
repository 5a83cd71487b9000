"""J8, J9: Postgres is killed or frozen; its backends are killed twice a second."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from core.errors import Unavailable
from core.store.database.engine import migrate, read_session
from core.store.database.tables import JobRow
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import Deployment, start_postgres
from tests.measurements import SOAK
from tests.servers import Postgres, Redis
from tests.worker.results import endless_job, short_job
from tests.worker.service import wait_for

OUTAGES = (0.0, 20.0, 60.0) if SOAK else (0.0, 8.0)
"""Durations in seconds.

The last one is longer than a lease, also of those scaled down. It is longer than the timeout of a
worker's statement, too: otherwise a reconciliation that had just begun would be carried out at the
end of the outage.
"""
RATE_SECONDS = 60.0 if SOAK else 5.0
MAX_RESPONSE_SECONDS = 2.0
REQUESTS = (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/models"), ("GET", "/readyz"))


@pytest.fixture
def own_postgres_deployment(
    tmp_path: Path, redis_server: Redis, redis_url: str, s3: dict[str, Any]
) -> Iterator[tuple[Postgres, Deployment]]:
    """A deployment on a Postgres server that only this test uses."""
    with ExitStack() as stack:
        postgres = start_postgres(stack)
        url = postgres.create_database("distill")
        migrate(url)
        yield postgres, stack.enter_context(Deployment.on_servers(tmp_path, url, redis_server, s3))


@contextmanager
def outage(postgres: Postgres, fault: str) -> Iterator[None]:
    if fault == "killed":
        postgres.kill()
        yield
        postgres.start()
    else:
        postgres.freeze()
        yield
        postgres.thaw()


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_j8_training_continues_without_postgres(
    own_postgres_deployment: tuple[Postgres, Deployment], fault: str, record_figure: RecordFigure
) -> None:
    """Every request is answered with 503, and no acknowledged job is lost."""
    postgres, deployment = own_postgres_deployment
    api = deployment.start_api()
    worker = deployment.start_worker()
    job_id = deployment.submit(short_job(2000 if SOAK else 120))
    deployment.wait_for_checkpoint(job_id, 120)
    trainer = worker.trainers()[0]
    slowest = 0.0
    longest_recovery = 0.0
    acknowledged_ids: list[str] = []
    for seconds in OUTAGES:
        with outage(postgres, fault):
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                slowest = max(slowest, assert_all_unavailable(api.http))
        ended_at = time.monotonic()
        acknowledged_ids.append(wait_for(lambda: try_to_submit(api.http), 60, "an accepted job"))
        longest_recovery = max(longest_recovery, time.monotonic() - ended_at)
        assert trainer.is_running() or deployment.wait_for_end(job_id).attempt == 1, (
            "the trainer has ended before its job"
        )
    deployment.wait_for_end(job_id)
    deployment.assert_one_result(job_id)
    with read_session(deployment.engine) as session:
        assert set(acknowledged_ids) <= set(session.scalars(select(JobRow.id)))
    record_figure("outages, s", ", ".join(f"{seconds:g}" for seconds in OUTAGES))
    record_figure("slowest 503, s", slowest, f"at most {MAX_RESPONSE_SECONDS:g}")
    record_figure("until a job is accepted again, s", longest_recovery, "at most 10")
    record_figure("attempts of the job that was training", deployment.get_job(job_id).attempt)


@dataclass
class Rates:
    """How fast a job and the API are."""

    steps_per_second: float
    lists_per_second: float
    unavailable: int
    """Responses with 503."""
    responses: int


def test_j9_killed_backends_slow_nothing_down(
    own_postgres_deployment: tuple[Postgres, Deployment], record_figure: RecordFigure
) -> None:
    """Backends are killed twice a second; the attempt goes on."""
    postgres, deployment = own_postgres_deployment
    api = deployment.start_api()
    deployment.start_worker()
    job_id = deployment.submit(endless_job())
    deployment.wait_for_checkpoint(job_id, 120)
    baseline = measure_rates(deployment, api.http, job_id)
    with killed_backends(postgres):
        with_kills = measure_rates(deployment, api.http, job_id)
    job = wait_for(lambda: get_job_if_available(deployment, job_id), 60, "the database")
    assert (job.status, job.attempt, job.infrastructure_failures) == ("running", 1, 0)
    record_figure(
        "training steps per second, relative to the baseline",
        with_kills.steps_per_second / baseline.steps_per_second,
        "at least 0.95",
    )
    record_figure(
        "lists per second, relative to the baseline",
        with_kills.lists_per_second / baseline.lists_per_second,
    )
    record_figure("responses with 503", f"{with_kills.unavailable} of {with_kills.responses}")
    record_figure(
        "baseline: steps per second, lists per second",
        f"{baseline.steps_per_second:.0f}, {baseline.lists_per_second:.0f}",
    )


@contextmanager
def killed_backends(postgres: Postgres) -> Iterator[None]:
    """Kill the backends of all sessions twice a second."""
    end = threading.Event()

    def kill_repeatedly() -> None:
        while not end.wait(0.5):
            postgres.terminate_connections()

    thread = threading.Thread(target=kill_repeatedly)
    thread.start()
    yield
    end.set()
    thread.join()


def get_job_if_available(deployment: Deployment, job_id: str) -> JobRow | None:
    with suppress(Unavailable):
        return deployment.get_job(job_id)
    return None


def current_step(deployment: Deployment, job_id: str) -> tuple[int, float]:
    """Return the job's step, and when it was read, by the monotonic clock in seconds."""
    progress = wait_for(
        lambda: (job := get_job_if_available(deployment, job_id)) and job.progress, 60, "progress"
    )
    return progress["step"], time.monotonic()


def measure_rates(deployment: Deployment, http: httpx2.Client, job_id: str) -> Rates:
    responses = {200: 0, 503: 0}
    first_step, first_time = current_step(deployment, job_id)
    deadline = time.monotonic() + RATE_SECONDS
    while time.monotonic() < deadline:
        responses[http.get("/v1/jobs", params={"limit": 1}).status_code] += 1
        time.sleep(0.01)  # leave the trainer a core
    last_step, last_time = current_step(deployment, job_id)
    return Rates(
        (last_step - first_step) / (last_time - first_time),
        responses[200] / RATE_SECONDS,
        responses[503],
        sum(responses.values()),
    )


def assert_all_unavailable(http: httpx2.Client) -> float:
    """Send every kind of request at once; all must be answered with 503.

    Return the longest time of a response, in seconds.
    """

    def response_seconds(request: tuple[str, str]) -> float:
        method, path = request
        body = endless_job().model_dump(mode="json") if method == "POST" else None
        sent_at = time.monotonic()
        response = http.request(method, path, json=body)
        assert response.status_code == 503, response.text
        assert response.headers["Retry-After"]
        return time.monotonic() - sent_at

    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        return max(pool.map(response_seconds, REQUESTS))


def try_to_submit(http: httpx2.Client) -> str | None:
    """Submit a job and return its id; None if it was not accepted."""
    response = http.post("/v1/jobs", json=short_job(1).model_dump(mode="json"))
    return response.json()["id"] if response.status_code == 201 else None
