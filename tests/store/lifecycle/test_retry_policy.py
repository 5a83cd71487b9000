"""Each kind of failure is met by its own rule."""

import pytest
from sqlalchemy import Engine

from core.errors import JobFailed
from core.store import attempts, jobs
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.builders import create_job, create_attempt

BROKEN = JobFailed("worker_error", "infrastructure", "Its disk broke.")
HUNG = JobFailed("trainer_hung", "timeout", "The trainer got nowhere.")
NO_MEMORY = JobFailed("out_of_memory", "infrastructure", "Out of memory.")
NO_ROOM = JobFailed("storage_full", "infrastructure", "The disk of the worker is full.")
DIVERGED = JobFailed("non_finite_loss", "user", "The loss is not a number.")
AT_ONCE = RetryPolicy(backoff_seconds=0.0)


def fail(engine: Engine, job: JobRow, error: JobFailed, patience: RetryPolicy = AT_ONCE) -> JobRow:
    """One attempt at the job, which fails; the job afterwards."""
    with create_attempt(engine, job).fenced_session() as (session, held):
        apply_retry_policy(session, held, error, patience)
    return reread(engine, job)


def reread(engine: Engine, job: JobRow) -> JobRow:
    with read_session(engine) as session:
        return jobs.get(session, DEFAULT_PROJECT, job.id)


def ask(engine: Engine, job: JobRow, action: str) -> None:
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, action)


def test_a_users_failure_is_the_end_at_the_first_attempt(engine: Engine) -> None:
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
    ("error", "limit"), [(BROKEN, 5), (HUNG, 2)], ids=["infrastructure", "timeout"]
)
def test_others_get_so_many_attempts_and_the_last_one_says_so(
    engine: Engine, error: JobFailed, limit: int
) -> None:
    job = create_job(engine)
    for number in range(1, limit):
        found = fail(engine, job, error)
        assert (found.status, found.attempt, found.pending_reason) == (
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


def test_kinds_are_counted_each_for_itself(engine: Engine) -> None:
    job = create_job(engine)
    for error in (HUNG, BROKEN, BROKEN, BROKEN, BROKEN):
        assert fail(engine, job, error).status == "queued"


def test_pauses_double_up_to_36_times_the_first(engine: Engine) -> None:
    job = create_job(engine)
    for wanted in (10, 20, 40, 80, 160, 320, 360, 360):
        attempt = create_attempt(engine, job)
        with attempt.fenced_session() as (session, held):
            before = session.scalar(database_now().select())
            apply_retry_policy(
                session, held, BROKEN, RetryPolicy(max_attempts=99, backoff_seconds=10)
            )
            after = session.scalar(database_now().select())
        assert before is not None
        assert after is not None
        with write_session(engine) as session:
            held = jobs.get(session, DEFAULT_PROJECT, job.id)
            assert held.not_before is not None
            assert before + 1000 * wanted <= held.not_before <= after + 1000 * wanted
            held.not_before = None


def test_memory_that_runs_out_twice_is_the_users_and_comes_with_advice(engine: Engine) -> None:
    job = create_job(engine)
    assert fail(engine, job, NO_MEMORY).status == "queued"
    job = fail(engine, job, NO_MEMORY)
    assert job.status == "failed"
    assert job.failure is not None
    assert (job.failure["code"], job.failure["class"], job.failure["retryable"]) == (
        "out_of_memory",
        "user",
        False,
    )
    assert "batch_size" in job.failure["message"]


def test_a_full_disk_pauses_the_job_until_there_may_be_room(engine: Engine) -> None:
    job = fail(engine, create_job(engine), NO_ROOM, RetryPolicy(storage_retry_seconds=3600))
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


def test_a_full_disk_is_waited_for_as_often_as_it_takes(engine: Engine) -> None:
    job = create_job(engine)
    for _ in range(8):
        assert fail(engine, job, NO_ROOM, RetryPolicy(storage_retry_seconds=0)).status == "paused"
        ask(engine, job, "resume")


def test_a_job_that_a_user_paused_is_not_resumed_by_itself(engine: Engine) -> None:
    job = create_job(engine)
    ask(engine, job, "pause")
    assert attempts.resume_due(engine) == []
    assert reread(engine, job).status == "paused"


@pytest.mark.parametrize("error", [BROKEN, HUNG, NO_MEMORY, NO_ROOM])
def test_a_pausing_job_whose_attempt_fails_is_paused_and_stays_so(
    engine: Engine, error: JobFailed
) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    ask(engine, job, "pause")
    with attempt.fenced_session() as (session, held):
        apply_retry_policy(
            session, held, error, RetryPolicy(max_attempts=1, max_timeouts=1, storage_retry_seconds=0)
        )
    assert reread(engine, job).status == "paused"
    assert attempts.resume_due(engine) == []


def test_a_pausing_job_that_cannot_be_done_fails(engine: Engine) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    ask(engine, job, "pause")
    with attempt.fenced_session() as (session, held):
        apply_retry_policy(session, held, DIVERGED, AT_ONCE)
    assert reread(engine, job).status == "failed"


@pytest.mark.parametrize("error", [BROKEN, HUNG, NO_MEMORY, NO_ROOM, DIVERGED])
def test_a_cancelling_job_that_fails_is_cancelled(engine: Engine, error: JobFailed) -> None:
    job = create_job(engine)
    attempt = create_attempt(engine, job)
    ask(engine, job, "cancel")
    with attempt.fenced_session() as (session, held):
        apply_retry_policy(session, held, error, AT_ONCE)
    job = reread(engine, job)
    assert (job.status, job.failure) == ("cancelled", None)
