"""Claims, leases and the fence: one attempt at a time owns a job, and no other writes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from core.errors import JobFailed, LeaseLost
from core.jobspec.status import PROTOCOL
from core.store import artifacts, attempts, events, jobs, metrics
from core.store.attempts import Attempt
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import (
    DEFAULT_PROJECT,
    ArtifactRow,
    EventRow,
    JobRow,
    MetricRow,
    ModelRow,
)
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.registry import models
from tests.builders import (
    SHA256,
    claim_job,
    create_attempt,
    create_job,
    model_description,
    set_progress,
    start_phase,
)

DIVERGED = JobFailed("diverged", "user", "The loss is not a number.")
WORKER_ERROR = JobFailed("worker_error", "infrastructure", "Its disk broke.")


def reload(engine: Engine, job_id: str) -> JobRow:
    with read_session(engine) as session:
        return jobs.get(session, DEFAULT_PROJECT, job_id)


def expire_lease(engine: Engine, job_id: str) -> None:
    with write_session(engine) as session:
        jobs.get(session, DEFAULT_PROJECT, job_id).lease_expires_at = database_now() - 1


def cancel(engine: Engine, job_id: str) -> None:
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")


def reclaim(engine: Engine, max_attempts: int = 5) -> list[str]:
    return attempts.reclaim_expired(engine, RetryPolicy(max_attempts, backoff_seconds=0.0))


# -- claims


def claim_all_in_threads(engine: Engine, workers: int) -> list[list[str]]:
    """Let that many workers claim jobs until none is left; return the ids that each has claimed."""

    def claim_all(worker: int) -> list[str]:
        claimed = []
        while (attempt := attempts.claim(engine, f"worker-{worker}", 30)) is not None:
            claimed.append(attempt.job_id)
        return claimed

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(claim_all, range(workers)))


def test_each_job_is_claimed_by_one_of_16_workers(engine: Engine) -> None:
    job_ids = [create_job(engine).id for _ in range(4)]
    claims = claim_all_in_threads(engine, 16)
    assert sorted(job_id for claimed in claims for job_id in claimed) == sorted(job_ids)
    assert {reload(engine, job_id).attempt for job_id in job_ids} == {1}


def test_each_worker_claims_the_oldest_claimable_job(engine: Engine) -> None:
    job_ids = [create_job(engine).id for _ in range(9)]
    with write_session(engine) as session:
        jobs.get(session, DEFAULT_PROJECT, job_ids[0]).not_before = database_now() + 3_600_000
        jobs.get(session, DEFAULT_PROJECT, job_ids[1]).protocol = PROTOCOL + 1
    first = attempts.claim(engine, "worker", 30)
    assert first is not None
    assert (first.job_id, first.number) == (job_ids[2], 1)

    claims = claim_all_in_threads(engine, 8)
    assert sorted(job_id for claimed in claims for job_id in claimed) == job_ids[3:]
    assert all(claimed == sorted(claimed) for claimed in claims)


def test_a_claimed_job_shows_its_worker_and_start(engine: Engine) -> None:
    attempt = create_attempt(engine, worker="machine-7", lease_seconds=30)
    job = reload(engine, attempt.job_id)
    assert (job.status, job.phase, job.worker, job.attempt, attempt.number) == (
        "running",
        "preparing",
        "machine-7",
        1,
        1,
    )
    assert job.started_at is not None
    assert job.lease_expires_at is not None
    assert 29_000 < job.lease_expires_at - job.started_at <= 30_100


def test_nothing_is_claimed_from_an_empty_queue(engine: Engine) -> None:
    for worker in ("worker-1", "", "Arbeiter-ü", "../x", "x" * 1000):
        assert attempts.claim(engine, worker, 30) is None


def test_the_oldest_due_job_is_next(engine: Engine) -> None:
    queued = [create_job(engine) for _ in range(4)]
    job_ids = [job.id for job in queued]
    create_attempt(engine, queued[1])
    delayed = create_attempt(engine, queued[0])
    with delayed.fenced_session() as (session, job):
        apply_retry_policy(session, job, WORKER_ERROR, RetryPolicy(backoff_seconds=60))
    with read_session(engine) as session:
        assert attempts.list_claimable(session) == job_ids[2:]
        assert attempts.list_claimable(session, limit=1) == [job_ids[2]]
    assert claim_job(engine, delayed.job_id, "worker-2") is None


def test_leases_go_by_the_databases_clock(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time() * 1000
    monkeypatch.setattr(time, "time", lambda: 0.0)
    attempt = create_attempt(engine, lease_seconds=30)
    assert reclaim(engine) == []
    renewed = attempt.renew()
    assert renewed.lease_expires_at is not None
    assert abs(renewed.lease_expires_at - now - 30_000) < 5_000


# -- the fence


def record_metrics(session: FencedSession, job: JobRow) -> None:
    metrics.record(session, job.id, job.attempt, 1, {"loss": 1.0})


def record_artifact(session: FencedSession, job: JobRow) -> None:
    artifacts.record(
        session,
        job.id,
        name="a",
        kind="weights",
        object_key="k",
        size=1,
        sha256=SHA256,
        attempt=job.attempt,
    )


def publish(session: FencedSession, job: JobRow) -> None:
    model = models.publish(session, job, model_description(), object_key="k", size=1, sha256=SHA256)
    attempts.succeed(session, job, {}, model.id)


def fail(session: FencedSession, job: JobRow) -> None:
    apply_retry_policy(session, job, DIVERGED, RetryPolicy())


def release(session: FencedSession, job: JobRow) -> None:
    attempts.release(session, job, "shut down")


def append_note(session: FencedSession, job: JobRow) -> None:
    events.append(session, job, "note", {"message": "still here"})


def change_progress(session: FencedSession, job: JobRow) -> None:
    job.progress = {"step": 99}


Write = Callable[[FencedSession, JobRow], Any]
WRITES: list[Write] = [
    record_metrics,
    record_artifact,
    publish,
    fail,
    release,
    append_note,
    change_progress,
]


def state(engine: Engine, job_id: str) -> tuple[Any, ...]:
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, job_id)
        rows = [
            session.query(table).count() for table in (EventRow, MetricRow, ArtifactRow, ModelRow)
        ]
        return (
            job.status,
            job.version,
            job.attempt,
            job.lease_expires_at,
            job.progress,
            job.worker,
            rows,
        )


def assert_writes_nothing(engine: Engine, attempt: Attempt) -> None:
    before = state(engine, attempt.job_id)

    def execute(write: Write) -> None:
        with attempt.fenced_session() as (session, job):
            write(session, job)

    for write in WRITES:
        with pytest.raises(LeaseLost):
            execute(write)
    for call in (
        attempt.renew,
        lambda: start_phase(attempt, "training"),
        lambda: set_progress(attempt, {"step": 99}),
    ):
        with pytest.raises(LeaseLost):
            call()
    assert state(engine, attempt.job_id) == before


def test_a_stale_attempt_writes_nothing(engine: Engine) -> None:
    stale = create_attempt(engine)
    expire_lease(engine, stale.job_id)
    assert reclaim(engine) == [stale.job_id]
    assert_writes_nothing(engine, stale)
    second = create_attempt(engine, reload(engine, stale.job_id), worker="worker-2")
    assert second.number == 2
    assert_writes_nothing(engine, stale)
    with second.fenced_session() as (session, job):
        publish(session, job)
    assert_writes_nothing(engine, stale)
    assert_writes_nothing(engine, second)


def test_a_fenced_session_writes_everything_or_nothing(engine: Engine) -> None:
    attempt = create_attempt(engine)
    before = state(engine, attempt.job_id)

    def write_and_fail() -> None:
        with attempt.fenced_session() as (session, job):
            record_metrics(session, job)
            record_artifact(session, job)
            publish(session, job)
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert state(engine, attempt.job_id) == before


def test_a_renewal_shows_that_the_job_is_cancelling(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cancel(engine, attempt.job_id)
    assert attempt.renew().status == "cancelling"


# -- how attempts end


def test_a_finished_job_succeeds_in_spite_of_a_cancel(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cancel(engine, attempt.job_id)
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job, {"best": {"clean": 0.5}})
    job = reload(engine, attempt.job_id)
    assert (job.status, job.results, job.phase, job.lease_expires_at) == (
        "succeeded",
        {"best": {"clean": 0.5}},
        None,
        None,
    )
    assert job.finished_at is not None


def test_a_cancelling_job_ends_as_cancelled(engine: Engine) -> None:
    for end in (fail, release):
        attempt = create_attempt(engine)
        cancel(engine, attempt.job_id)
        with attempt.fenced_session() as (session, job):
            end(session, job)
        assert reload(engine, attempt.job_id).status == "cancelled"


def test_a_release_counts_as_no_failure(engine: Engine) -> None:
    job = create_job(engine)
    for number in range(1, 8):
        attempt = create_attempt(engine, job)
        assert attempt.number == number
        with attempt.fenced_session() as (session, running):
            attempts.release(session, running, "its worker was shut down")
    job = reload(engine, job.id)
    assert (job.status, job.infrastructure_failures, job.worker) == ("queued", 0, None)
    assert job.pending_reason == "its worker was shut down"


# -- expired leases


def test_a_lost_workers_job_is_queued_until_max_attempts(engine: Engine) -> None:
    job = create_job(engine)
    for expected in ("queued", "queued", "failed"):
        create_attempt(engine, job, worker="machine-7")
        assert reclaim(engine, max_attempts=3) == []
        expire_lease(engine, job.id)
        assert reclaim(engine, max_attempts=3) == [job.id]
        assert reclaim(engine, max_attempts=3) == []
        assert reload(engine, job.id).status == expected
    failure = reload(engine, job.id).failure
    assert failure is not None
    assert failure["code"] == "worker_lost"
    assert "machine-7" in failure["message"]


def test_a_lost_workers_cancelling_job_is_cancelled(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cancel(engine, attempt.job_id)
    expire_lease(engine, attempt.job_id)
    assert reclaim(engine) == [attempt.job_id]
    assert reload(engine, attempt.job_id).status == "cancelled"


def test_concurrent_reclaims_count_a_lost_lease_once(engine: Engine) -> None:
    expired = [create_attempt(engine) for _ in range(6)]
    for attempt in expired:
        expire_lease(engine, attempt.job_id)
    with ThreadPoolExecutor(4) as pool:
        reclaims = list(pool.map(lambda _: reclaim(engine), range(4)))
    reclaimed = [job_id for job_ids in reclaims for job_id in job_ids]
    assert sorted(reclaimed) == sorted(attempt.job_id for attempt in expired)
    assert {reload(engine, attempt.job_id).infrastructure_failures for attempt in expired} == {1}


def test_a_renewed_lease_is_not_reclaimed(engine: Engine) -> None:
    attempt = create_attempt(engine)
    expire_lease(engine, attempt.job_id)
    attempt.renew()
    assert reclaim(engine) == []


def test_event_numbers_have_no_gaps(engine: Engine) -> None:
    attempt = create_attempt(engine)

    def append_event(number: int) -> None:
        if number == 10:
            cancel(engine, attempt.job_id)
        else:
            with attempt.fenced_session() as (session, job):
                events.append(session, job, "note", {"message": str(number)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append_event, range(30)))
    with read_session(engine) as session:
        listed = events.list_after(session, attempt.job_id)
        assert [event.seq for event in listed] == list(range(1, 33))
        assert [
            event.seq for event in events.list_after(session, attempt.job_id, seq=29, limit=2)
        ] == [
            30,
            31,
        ]
        assert events.list_after(session, attempt.job_id, seq=10**30) == []
