"""J5: worker and trainer are stopped past their lease, and resume when another has the job."""

import signal
import time
from typing import Any

import pytest
from sqlalchemy import select

from core.errors import LeaseLost, Unavailable
from core.store import attempts, events
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import ArtifactRow, AttemptRow, LogRow, MetricRow, ModelRow
from core.store.lifecycle.retry_policy import RetryPolicy
from tests.builders import create_attempt, create_job
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import Deployment
from tests.worker.results import short_job
from tests.worker.service import wait_for


def has_archived_logs(deployment: Deployment) -> bool:
    with read_session(deployment.engine) as session:
        return None not in session.scalars(select(LogRow.object_key)).all()


def job_state(deployment: Deployment, job_id: str) -> tuple[Any, ...]:
    """Return all that a worker may write of the job, once its logs are objects."""
    wait_for(lambda: has_archived_logs(deployment), 60, "the archived logs")
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
        ends = session.execute(
            select(AttemptRow.number, AttemptRow.ended_at, AttemptRow.outcome, LogRow.lines)
            .join(LogRow, LogRow.attempt == AttemptRow.number)
            .order_by(AttemptRow.number)
        ).all()
    job = deployment.get_job(job_id)
    columns = (job.status, job.version, job.event_seq, job.attempt, job.results, job.progress)
    return columns, metrics, files, models, ends, sorted(deployment.object_keys(job_id))


def test_j5_stale_worker_can_write_nothing(
    deployment: Deployment, record_figure: RecordFigure
) -> None:
    """A worker that resumes after another one has finished its job changes no row and object."""
    job_id = deployment.submit(short_job(40))
    stale_worker = deployment.start_worker("stale")
    deployment.wait_for_checkpoint(job_id)
    trainers = stale_worker.trainers()
    for trainer in trainers:
        trainer.suspend()
    stale_worker.send(signal.SIGSTOP)
    deployment.start_worker("second")
    assert deployment.wait_for_end(job_id).attempt == 2
    state = job_state(deployment, job_id)
    for trainer in trainers:
        trainer.resume()
    # The trainer runs alone, so that the worker has something to publish when it resumes.
    time.sleep(1)
    stale_worker.send(signal.SIGCONT)
    resumed_at = time.monotonic()
    wait_for(lambda: not stale_worker.trainers(), 60, "the end of the stale trainer")
    seconds = time.monotonic() - resumed_at
    record_figure("until the stale trainer has ended, s", seconds, "at most 10")
    deployment.assert_one_result(job_id)
    assert job_state(deployment, job_id) == state
    assert stale_worker.process.poll() is None, "the worker itself has ended"


def test_j5_stopped_transaction_locks_a_job_only_for_its_lease(
    postgres_url: str, record_figure: RecordFigure
) -> None:
    """A worker stops inside a transaction.

    Its locks would keep the reconciler from the job; Postgres ends an idle transaction.
    """
    engine = make_engine(postgres_url)
    stale_engine = make_engine(postgres_url, timeout_seconds=0.5)
    attempt = create_attempt(stale_engine, create_job(engine), lease_seconds=0.1)

    def stop_inside_transaction() -> None:
        with attempt.fenced_session() as (session, job):
            stopped_at = time.monotonic()
            wait_for(
                lambda: attempts.reclaim_expired(engine, RetryPolicy(backoff_seconds=0)),
                30,
                "the reconciliation of a locked job",
            )
            record_figure(
                "until the job of a stopped transaction is free, s",
                time.monotonic() - stopped_at,
                "twice the timeout of a statement",
            )
            events.append(session, job, "note", {"message": "I was here"})

    with pytest.raises((Unavailable, LeaseLost)):
        stop_inside_transaction()
    with read_session(engine) as session:
        status_events = events.list_of_type(session, attempt.job_id, "status")
        assert [event.data["to"] for event in status_events] == ["queued", "running", "queued"]
        assert not events.list_of_type(session, attempt.job_id, "note")
    engine.dispose()
    stale_engine.dispose()
