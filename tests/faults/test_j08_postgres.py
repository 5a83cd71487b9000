"""J8, J9: Postgres is killed and frozen for a minute; its backends are killed twice a second."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.errors import Unavailable
from core.store.database.engine import migrate, read_session
from core.store.database.tables import JobRow
from tests.faults.conftest import Figure
from tests.faults.deployment import Deployment, fresh_postgres
from tests.measurements import SOAK
from tests.servers import Postgres, Redis
from tests.worker.results import latest_checkpoint_step, endless_job, short_job
from tests.worker.service import wait_for

OUTAGES = (0.0, 20.0, 60.0) if SOAK else (0.0, 8.0)
"""Seconds. Of the scaled ones, the last is longer than a lease, as 60 s are longer than 30, and than a worker's patience with a
statement: a sweep that was under way would else be carried out at the end of the outage.
"""
RATE_SECONDS = 60.0 if SOAK else 5.0
ANSWER_SECONDS = 2.0
REQUESTS = (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/models"), ("GET", "/readyz"))


@pytest.fixture
def apart(
    tmp_path: Path, redis_server: Redis, redis_url: str, s3: dict[str, Any]
) -> Iterator[tuple[Postgres, Deployment]]:
    """A deployment whose Postgres is its own."""
    with ExitStack() as stack:
        postgres = fresh_postgres(stack)
        url = postgres.create_database("distill")
        migrate(url)
        yield postgres, stack.enter_context(Deployment.on_servers(tmp_path, url, redis_server, s3))


@contextmanager
def gone(postgres: Postgres, fault: str) -> Iterator[None]:
    if fault == "killed":
        postgres.kill()
        yield
        postgres.start()
    else:
        postgres.freeze()
        yield
        postgres.thaw()


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_j8_without_postgres_training_goes_on_callers_are_told_and_nothing_is_lost(
    apart: tuple[Postgres, Deployment], fault: str, figure: Figure
) -> None:
    postgres, deployment = apart
    api, worker = deployment.api(), deployment.worker()
    job_id = deployment.submit(short_job(2000 if SOAK else 120))
    wait_for(lambda: latest_checkpoint_step(deployment.engine, job_id), 120, "a checkpoint")
    trainer = worker.trainers()[0]
    slowest, back, acknowledged = 0.0, 0.0, []
    for seconds in OUTAGES:
        with gone(postgres, fault):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                slowest = max(slowest, all_unavailable(api.http))
        began = time.monotonic()
        acknowledged.append(wait_for(lambda: accepted(api.http), 60, "an accepted job"))
        back = max(back, time.monotonic() - began)
        assert trainer.is_running() or deployment.until_done(job_id).attempt == 1, (
            "training goes on"
        )
    deployment.until_done(job_id)
    deployment.assert_one_result(job_id)
    with read_session(deployment.engine) as session:
        assert set(acknowledged) <= set(session.scalars(select(JobRow.id)))
    figure("outages, s", ", ".join(f"{seconds:g}" for seconds in OUTAGES))
    figure("the slowest 503, s", slowest, f"at most {ANSWER_SECONDS:g}")
    figure("until a job is accepted again, s", back, "at most 10")
    figure("attempts of the job that was training", deployment.look(job_id).attempt)


def test_j9_backends_killed_twice_a_second_slow_nothing_down(
    apart: tuple[Postgres, Deployment], figure: Figure
) -> None:
    postgres, deployment = apart
    api = deployment.api()
    deployment.worker()
    job_id = deployment.submit(endless_job())
    wait_for(lambda: latest_checkpoint_step(deployment.engine, job_id), 120, "a checkpoint")
    undisturbed = rates(deployment, api.http, job_id)
    over = threading.Event()

    def kill_backends() -> None:
        while not over.wait(0.5):
            postgres.terminate_connections()

    killing = threading.Thread(target=kill_backends)
    killing.start()
    disturbed = rates(deployment, api.http, job_id)
    over.set()
    killing.join()
    job = wait_for(lambda: patiently(deployment, job_id), 60, "the database")
    assert (job.status, job.attempt, job.infrastructure_failures) == ("running", 1, 0)
    figure(
        "training steps a second, of the undisturbed rate",
        disturbed[0] / undisturbed[0],
        "at least 0.95",
    )
    figure("lists a second, of the undisturbed rate", disturbed[1] / undisturbed[1])
    figure("answers 503", f"{disturbed[2]} of {disturbed[3]}")
    figure(
        "undisturbed: steps a second, lists a second", f"{undisturbed[0]:.0f}, {undisturbed[1]:.0f}"
    )


def patiently(deployment: Deployment, job_id: str) -> JobRow | None:
    with suppress(Unavailable):
        return deployment.look(job_id)
    return None


def rates(deployment: Deployment, http: Any, job_id: str) -> tuple[float, float, int, int]:
    """Steps of the job and answered lists a second; and how many of how many answers were 503."""

    def step() -> tuple[int, float]:
        progress = wait_for(
            lambda: (job := patiently(deployment, job_id)) and job.progress, 60, "progress"
        )
        return progress["step"], time.monotonic()

    answers = {200: 0, 503: 0}
    (first, began), end = step(), time.monotonic() + RATE_SECONDS
    while time.monotonic() < end:
        answers[http.get("/v1/jobs", params={"limit": 1}).status_code] += 1
        time.sleep(0.01)  # leave the trainer a core
    last, ended = step()
    return (
        (last - first) / (ended - began),
        answers[200] / RATE_SECONDS,
        answers[503],
        sum(answers.values()),
    )


def all_unavailable(http: Any) -> float:
    """Every kind of request at once, none of which may hang; the longest wait for an answer."""

    def ask(request: tuple[str, str]) -> float:
        began = time.monotonic()
        answer = http.request(
            *request, json=endless_job().model_dump(mode="json") if request[0] == "POST" else None
        )
        assert answer.status_code == 503, answer.text
        assert answer.headers["Retry-After"]
        return time.monotonic() - began

    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        return max(pool.map(ask, REQUESTS))


def accepted(http: Any) -> str | None:
    answer = http.post("/v1/jobs", json=short_job(1).model_dump(mode="json"))
    return answer.json()["id"] if answer.status_code == 201 else None
