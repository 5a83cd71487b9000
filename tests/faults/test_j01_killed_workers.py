"""J1: worker and trainer are killed at a random step."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import pytest

from core.store import events
from core.store.database.engine import read_session
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import LEASE_SECONDS, Deployment, kill_service
from tests.measurements import SOAK
from tests.worker.results import latest_checkpoint_step, resume_steps, short_job
from tests.worker.service import Service, wait_for

WORKERS = 4 if SOAK else 3
ROUNDS = 5 if SOAK else 1
EPOCHS = 150 if SOAK else 40


@dataclass
class Kill:
    """A kill of the worker that ran a job, and how far the job was."""

    at: float
    """In seconds since the epoch."""
    saved_step: int
    reported_step: int


def attempt_starts(deployment: Deployment, job_id: str) -> list[float]:
    """Return when each attempt started, in seconds since the epoch."""
    with read_session(deployment.engine) as session:
        status_events = events.list_of_type(session, job_id, "status")
    return [event.at / 1000 for event in status_events if event.data["to"] == "running"]


def kill_worker_of(
    deployment: Deployment, job_id: str, workers: dict[str, Service], delay_seconds: float
) -> Kill:
    """Kill the job's worker ``delay_seconds`` after its first checkpoint."""
    deployment.wait_for_checkpoint(job_id)
    time.sleep(delay_seconds)
    job = deployment.get_job(job_id)
    saved_step = latest_checkpoint_step(deployment.engine, job_id)
    kill_service(workers.pop(job.worker or ""))
    return Kill(time.time(), saved_step, (job.progress or {}).get("step", saved_step))


def kill_every_worker(
    deployment: Deployment,
    workers: dict[str, Service],
    names: Iterator[str],
    generator: random.Random,
) -> dict[str, Kill]:
    """Submit a job per worker, kill each job's worker and start another; return kills by job."""
    worker_count = len(workers)
    job_ids = [deployment.submit(short_job(EPOCHS)) for _ in range(worker_count)]
    kills = {}
    for job_id in generator.sample(job_ids, worker_count):
        kills[job_id] = kill_worker_of(deployment, job_id, workers, generator.uniform(0, 0.5))
        name = next(names)
        workers[name] = deployment.start_worker(name)
    return kills


@pytest.mark.parametrize(
    ("deployment", "worker_count"),
    [("server", WORKERS), ("embedded", 1)],
    indirect=["deployment"],
)
def test_j1_job_of_a_killed_worker_resumes_and_has_one_result(
    deployment: Deployment, worker_count: int, record_figure: RecordFigure
) -> None:
    """Worker and trainer are killed; no job folder, partial file or trainer remains."""
    generator = random.Random(1)
    waits: list[float] = []
    repeated_steps: list[int] = []
    names = map("worker-{}".format, count())
    workers = {name: deployment.start_worker(name) for name in islice(names, worker_count)}
    for _ in range(ROUNDS):
        kills = kill_every_worker(deployment, workers, names, generator)
        for job_id, kill in kills.items():
            assert deployment.wait_for_end(job_id).attempt == 2
            deployment.assert_one_result(job_id)
            resumed_step = resume_steps(deployment.engine, job_id)[0]
            assert resumed_step >= kill.saved_step > 0
            repeated_steps.append(kill.reported_step - resumed_step)
            waits.append(attempt_starts(deployment, job_id)[1] - kill.at)
        for worker in deployment.processes:
            wait_for_no_trainers(worker)
    deployment.assert_no_partial_files()
    record_figure("kills", len(waits))
    record_figure(
        "longest wait for the next attempt, s", max(waits), f"at most {2 * LEASE_SECONDS:.0f}"
    )
    record_figure(
        "most steps repeated (an epoch has 4)", max(repeated_steps), "one checkpoint interval"
    )


def wait_for_no_trainers(worker: Service) -> None:
    wait_for(lambda: not worker.trainers(), 20, "the end of the trainers")
