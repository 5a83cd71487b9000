"""Each kind of failure has its own rule."""

import pytest
from sqlalchemy import Engine

from core.errors import JobFailed
from core.jobspec.status import Action
from core.store import attempts, jobs
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.builders import create_attempt, create_job

WORKER_ERROR = JobFailed("worker_error", "infrastructure", "Its disk broke.")
TIMEOUT = JobFailed("trainer_hung", "timeout", "The trainer made no progress.")
OUT_OF_MEMORY = JobFailed("out_of_memory", "infrastructure", "Out of memory.")
DISK_FULL = JobFailed("storage_full", "infrastructure", "The disk of the worker is full.")
DIVERGED = JobFailed("non_finite_loss", "user", "The loss is not a number.")
NO_BACKOFF = RetryPolicy(backoff_seconds=0.0)


def fail(engine: Engine, job: JobRow, error: JobFailed, policy: RetryPolicy = NO_BACKOFF) -> JobRow:
    """Let one attempt at the job fail; return the job afterwards."""
    with create_attempt(engine, job).fenced_session() as (session, running):
        apply_retry_policy(session, running, error, policy)
    return reread(engine, job)


def reread(engine: Engine, job: JobRow) -> JobRow:
    with read_session(engine) as session:
        return jobs.get(session, DEFAULT_PROJECT, job.id)


def apply_action(engine: Engine, job: JobRow, action: Action) -> None:
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, action)


def test_a_users_failure_ends_the_job_at_once(engine: Engine) -> None:
    job = fail(engine, create_job(engine), DIVERGED)
    assert job.status == "failed"
    assert job.failure == {
        "code": "non_finite_loss",
        "class": "user",
        "message": "The loss is not a number.",
        "retryable": False,
        "attempt": 1,
    }


@pytest.mark.parametrize(
    ("error", "limit"), [(WORKER_ERROR, 5), (TIMEOUT, 2)], ids=["infrastructure", "timeout"]
)
def test_the_last_attempt_says_that_it_was_the_last(
    engine: Engine, error: JobFailed, limit: int
) -> None:
    job = create_job(engine)
    for number in range(1, limit):
        failed = fail(engine, job, error)
        assert (failed.status, failed.attempt, failed.pending_reason) == (
            "queued",
            number,
            error.message,
        )
    job = fail(engine, job, error)
    assert job.status == "failed"
    assert job.failure is not None
    assert (job.failure["class"], job.failure["attempt"], job.failure["retryable"]) == (
        error.failure_class,
        limit,
        True,
    )
    assert job.failure["message"] == f"{error.message} This was the last of {limit} attempts."


def test_kinds_of_failures_have_counters_of_their_own(engine: Engine) -> None:
    job = create_job(engine)
    for error in (TIMEOUT, WORKER_ERROR, WORKER_ERROR, WORKER_ERROR, WORKER_ERROR):
        assert fail(engine, job, error).status == "queued"


def test_pauses_double_up_to_36_times_the_first(engine: Engine) -> None:
    job = create_job(engine)
    for seconds in (10, 20, 40, 80, 160, 320, 360, 360):
        attempt = create_attempt(engine, job)
        with attempt.fenced_session() as (session, running):
            before = session.scalar(database_now().select())
            apply_retry_policy(
                session, running, WORKER_ERROR, RetryPolicy(max_attempts=99, backoff_seconds=10)
            )
            after = session.scalar(database_now().select())
        assert before is not None
        assert after is not None
        with write_session(engine) as session:
            waiting = jobs.get(session, DEFAULT_PROJECT, job.id)
            assert waiting.not_before is not None
            assert before + 1000 * seconds <= waiting.not_before <= after + 1000 * seconds
            waiting.not_before = None


def test_a_second_out_of_memory_fails_with_advice(engine: Engine) -> None:
    job = create_job(engine)
    assert fail(engine, job, OUT_OF_MEMORY).status == "queued"
    job = fail(engine, job, OUT_OF_MEMORY)
    assert job.status == "failed"
    assert job.failure is not None
    assert (job.failure["code"], job.failure["class"], job.failure["retryable"]) == (
        "out_of_memory",
        "user",
        False,
    )
    assert "batch_size" in job.failure["message"]


def test_a_full_disk_pauses_the_job_for_a_while(engine: Engine) -> None:
    job = fail(engine, create_job(engine), DISK_FULL, RetryPolicy(storage_retry_seconds=3600))
    assert (job.status, job.infrastructure_failures, job.failure) == ("paused", 0, None)
    assert job.pending_reason is not None
    assert "disk of the worker is full" in job.pending_reason
    assert attempts.resume_due(engine) == []
    with write_session(engine) as session:
        jobs.get(session, DEFAULT_PROJECT, job.id).not_before = database_now() - 1
    assert attempts.resume_due(engine) == [job.id]
    assert attempts.resume_due(engine) == []
    job = reread(engine, job)
    assert (job.status, job.pending_reason) == ("queued", None)


def test_a_full_disk_pauses_the_job_without_limit(engine: Engine) -> None:
    job = create_job(engine)
    for _ in range(8):
        assert fail(engine, job, DISK_FULL, RetryPolicy(storage_retry_seconds=0)).status == "paused"
        apply_action(engine, job, "resume")


def test_a_user_paused_job_is_not_resumed_when_due(engine: Engine) -> None:
    job = create_job(engine)
    apply_action(engine, job, "pause")
    assert attempts.resume_due(engine) == []
    assert reread(engine, job).status == "paused"


@pytest.mark.parametrize("error", [WORKER_ERROR, TIMEOUT, OUT_OF_MEMORY, DISK_FULL])
def test_a_pausing_job_whose_attempt_fails_stays_paused(engine: Engine, error: JobFailed) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    apply_action(engine, job, "pause")
    with attempt.fenced_session() as (session, running):
        apply_retry_policy(
            session,
            running,
            error,
            RetryPolicy(max_attempts=1, max_timeouts=1, storage_retry_seconds=0),
        )
    assert reread(engine, job).status == "paused"
    assert attempts.resume_due(engine) == []


def test_a_pausing_job_with_a_users_failure_fails(engine: Engine) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    apply_action(engine, job, "pause")
    with attempt.fenced_session() as (session, running):
        apply_retry_policy(session, running, DIVERGED, NO_BACKOFF)
    assert reread(engine, job).status == "failed"


@pytest.mark.parametrize("error", [WORKER_ERROR, TIMEOUT, OUT_OF_MEMORY, DISK_FULL, DIVERGED])
def test_a_cancelling_job_that_fails_is_cancelled(engine: Engine, error: JobFailed) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    apply_action(engine, job, "cancel")
    with attempt.fenced_session() as (session, running):
        apply_retry_policy(session, running, error, NO_BACKOFF)
    job = reread(engine, job)
    assert (job.status, job.failure) == ("cancelled", None)
