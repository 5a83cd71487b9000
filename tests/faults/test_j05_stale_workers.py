"""J5: worker and trainer are stopped past their lease, another worker finishes the job, and they go on."""

import signal
import time
from typing import Any

import pytest
from sqlalchemy import select

from core.errors import LeaseLost, Unavailable
from core.store import attempts, events
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import ArtifactRow, MetricRow, ModelRow
from core.store.lifecycle.retry_policy import RetryPolicy
from tests.builders import create_job, create_attempt
from tests.faults.conftest import Figure
from tests.faults.deployment import PATIENCE_SECONDS, Deployment
from tests.worker.results import latest_checkpoint_step, short_job
from tests.worker.service import wait_for


def everything(deployment: Deployment, job_id: str) -> Any:
    """Whatever a worker could have written of the job."""
    with read_session(deployment.engine) as session:
        metrics = session.execute(
            select(MetricRow.name, MetricRow.step, MetricRow.value, MetricRow.attempt).order_by(
                MetricRow.name, MetricRow.step
            )
        ).all()
        files = session.execute(
            select(ArtifactRow.name, ArtifactRow.object_key, ArtifactRow.sha256).order_by(
                ArtifactRow.name
            )
        ).all()
        models = session.execute(select(ModelRow.id, ModelRow.object_key)).all()
    job = deployment.look(job_id)
    row = job.status, job.version, job.event_seq, job.attempt, job.results, job.progress
    return row, metrics, files, models, sorted(deployment.objects(job_id))


def test_j5_a_zombie_that_wakes_up_can_write_nothing(
    deployment: Deployment, figure: Figure
) -> None:
    job_id = deployment.submit(short_job(40))
    zombie = deployment.worker("zombie")
    wait_for(
        lambda: latest_checkpoint_step(deployment.engine, job_id), PATIENCE_SECONDS, "a checkpoint"
    )
    trainers = zombie.trainers()
    for process in trainers:
        process.suspend()
    zombie.send(signal.SIGSTOP)
    deployment.worker("second")
    assert deployment.until_done(job_id).attempt == 2
    before = everything(deployment, job_id)
    for process in trainers:
        process.resume()
    time.sleep(
        1
    )  # the trainer goes on alone: there is something to be published when the worker wakes up
    zombie.send(signal.SIGCONT)
    woke = time.monotonic()
    wait_for(lambda: not zombie.trainers(), 60, "the end of the zombie's trainer")
    figure("until the stale trainer has ended, s", time.monotonic() - woke, "at most 10")
    deployment.assert_one_result(job_id)
    assert everything(deployment, job_id) == before
    assert zombie.process.poll() is None, "the worker itself goes on"


def test_j5_a_worker_stopped_inside_a_transaction_holds_its_job_no_longer_than_its_lease(
    postgres_url: str, figure: Figure
) -> None:
    """Its locks would keep the sweeper from the job; Postgres ends a transaction in which nothing happens."""
    patient, zombies = make_engine(postgres_url), make_engine(postgres_url, timeout_seconds=0.5)
    attempt = create_attempt(zombies, create_job(patient), lease_seconds=0.1)

    def stop_inside() -> None:
        with attempt.fenced_session() as (session, job):
            began = time.monotonic()
            wait_for(
                lambda: attempts.reclaim_expired(patient, RetryPolicy(backoff_seconds=0)),
                30,
                "the sweep of a locked job",
            )
            figure(
                "until the job of a transaction stopped for good is free, s",
                time.monotonic() - began,
                "twice the patience",
            )
            events.append(session, job, "note", {"message": "I was here"})

    with pytest.raises((Unavailable, LeaseLost)):
        stop_inside()
    with read_session(patient) as session:
        moves = [
            event.data["to"] for event in events.list_of_type(session, attempt.job_id, "status")
        ]
        assert moves == ["queued", "running", "queued"]
        assert not events.list_of_type(session, attempt.job_id, "note")
    patient.dispose()
    zombies.dispose()
