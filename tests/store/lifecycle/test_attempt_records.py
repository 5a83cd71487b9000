"""Every way in which an attempt ends is in its record."""

from typing import Any

import pytest
from sqlalchemy import Engine

from core.errors import JobFailed, LeaseLost
from core.jobspec.status import Action
from core.store import attempts, jobs
from core.store.attempts import Attempt
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, AttemptRow
from core.store.lifecycle import attempt_records
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.builders import create_attempt, create_job

NO_BACKOFF = RetryPolicy(backoff_seconds=0.0)
IO_ERROR = JobFailed("io_error", "infrastructure", "The disk cannot be read.")
DIVERGED = JobFailed("diverged", "user", "The loss grows.")
DISK_FULL = JobFailed("storage_full", "infrastructure", "The disk is full.")


def records(engine: Engine, job_id: str) -> list[AttemptRow]:
    with read_session(engine) as session:
        return attempt_records.list_attempts(session, job_id)


def request(engine: Engine, job_id: str, action: Action) -> None:
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job_id, action)


def release(attempt: Attempt) -> None:
    with attempt.fenced_session() as (session, job):
        attempts.release(session, job, "its trainer has ended")


def fail(attempt: Attempt, error: JobFailed) -> None:
    with attempt.fenced_session() as (session, job):
        apply_retry_policy(session, job, error, NO_BACKOFF)


def lose(attempt: Attempt) -> None:
    with write_session(attempt.engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, attempt.job_id)
        job.lease_expires_at = database_now() - 1
    assert attempts.reclaim_expired(attempt.engine, NO_BACKOFF) == [attempt.job_id]


def test_running_attempt_names_its_worker(engine: Engine) -> None:
    attempt = create_attempt(engine, worker="worker-7")
    (record,) = records(engine, attempt.job_id)
    assert (record.number, record.worker, record.outcome, record.ended_at) == (
        1,
        "worker-7",
        None,
        None,
    )
    assert record.started_at == attempt.started_at


@pytest.mark.parametrize("action", [None, "pause", "cancel"])
@pytest.mark.parametrize(
    ("error", "outcomes"),
    [
        (IO_ERROR, ("failed", "paused", "cancelled")),
        (DIVERGED, ("failed", "failed", "cancelled")),
        (DISK_FULL, ("paused", "paused", "cancelled")),
    ],
    ids=["io_error", "diverged", "storage_full"],
)
def test_failure_is_recorded_whatever_follows(
    engine: Engine, error: JobFailed, outcomes: tuple[str, ...], action: Action | None
) -> None:
    attempt = create_attempt(engine)
    if action is not None:
        request(engine, attempt.job_id, action)
    fail(attempt, error)
    (record,) = records(engine, attempt.job_id)
    assert record.outcome == outcomes[[None, "pause", "cancel"].index(action)]
    assert record.failure == {
        "code": error.code,
        "class": error.failure_class,
        "message": error.message,
        "retryable": error.failure_class != "user",
    }
    assert record.ended_at is not None
    assert record.ended_at >= record.started_at


@pytest.mark.parametrize(
    ("action", "outcome"), [(None, "released"), ("pause", "paused"), ("cancel", "cancelled")]
)
def test_release_is_no_failure(engine: Engine, action: Action | None, outcome: str) -> None:
    attempt = create_attempt(engine)
    if action is not None:
        request(engine, attempt.job_id, action)
    release(attempt)
    (record,) = records(engine, attempt.job_id)
    assert (record.outcome, record.failure) == (outcome, None)


@pytest.mark.parametrize("action", [None, "pause", "cancel"])
def test_lost_worker_is_recorded(engine: Engine, action: Action | None) -> None:
    attempt = create_attempt(engine, worker="worker-7")
    if action is not None:
        request(engine, attempt.job_id, action)
    lose(attempt)
    (record,) = records(engine, attempt.job_id)
    assert (record.outcome, record.worker) == ("lost", "worker-7")
    assert record.failure is not None
    assert record.failure["code"] == "worker_lost"


def test_attempts_of_a_job_are_recorded_one_by_one(engine: Engine) -> None:
    job = create_job(engine)
    fail(create_attempt(engine, job, worker="worker-1"), IO_ERROR)
    lose(create_attempt(engine, job, worker="worker-2"))
    with create_attempt(engine, job, worker="worker-3").fenced_session() as (session, row):
        attempts.succeed(session, row)
    ends: list[Any] = [
        (record.number, record.worker, record.outcome) for record in records(engine, job.id)
    ]
    assert ends == [
        (1, "worker-1", "failed"),
        (2, "worker-2", "lost"),
        (3, "worker-3", "succeeded"),
    ]


def test_lost_attempt_changes_no_record(engine: Engine) -> None:
    attempt = create_attempt(engine)
    lose(attempt)
    with pytest.raises(LeaseLost):
        release(attempt)
    (record,) = records(engine, attempt.job_id)
    assert record.outcome == "lost"
