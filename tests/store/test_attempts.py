"""Claims, leases and fences: one attempt at a time owns a job, and no other writes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from core.errors import JobFailed, LeaseLost
from core.jobspec.status import PROTOCOL
from core.store import artifacts, attempts, events, jobs, metrics, models
from core.store.attempts import Attempt
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import (
    DEFAULT_PROJECT,
    ArtifactRow,
    EventRow,
    JobRow,
    MetricRow,
    ModelRow,
)
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.builders import SHA256, create_job, create_attempt, start_phase, set_progress, model_description

DIVERGED = JobFailed("diverged", "user", "The loss is not a number.")
BROKEN = JobFailed("worker_error", "infrastructure", "Its disk broke.")


def reread(engine: Engine, job_id: str) -> JobRow:
    with read_session(engine) as session:
        return jobs.get(session, DEFAULT_PROJECT, job_id)


def let_lease_run_out(engine: Engine, job_id: str) -> None:
    with write_session(engine) as session:
        jobs.get(session, DEFAULT_PROJECT, job_id).lease_expires_at = database_now() - 1


def cancel(engine: Engine, job_id: str) -> None:
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")


def sweep(engine: Engine, max_attempts: int = 5) -> list[str]:
    return attempts.reclaim_expired(engine, RetryPolicy(max_attempts, backoff_seconds=0.0))


# -- claims


def test_of_16_claimers_one_gets_each_job(engine: Engine) -> None:
    made = [create_job(engine).id for _ in range(4)]

    def claim_all(worker: int) -> list[str]:
        return [
            job_id
            for job_id in made
            if attempts.claim(engine, job_id, f"worker-{worker}", 30) is not None
        ]

    with ThreadPoolExecutor(16) as pool:
        won = [job_id for claimed in pool.map(claim_all, range(16)) for job_id in claimed]
    assert sorted(won) == sorted(made)
    assert {reread(engine, job_id).attempt for job_id in made} == {1}


def test_those_who_look_for_work_get_the_oldest_that_they_may_have_each_another(
    engine: Engine,
) -> None:
    made = [create_job(engine).id for _ in range(9)]
    with write_session(engine) as session:
        jobs.get(session, DEFAULT_PROJECT, made[0]).not_before = database_now() + 3_600_000
        jobs.get(session, DEFAULT_PROJECT, made[1]).protocol = PROTOCOL + 1
    first = attempts.claim_next(engine, "worker", 30)
    assert first is not None
    assert (first.job_id, first.number) == (made[2], 1)

    def claim_all(worker: int) -> list[str]:
        mine = []
        while (attempt := attempts.claim_next(engine, f"worker-{worker}", 30)) is not None:
            mine.append(attempt.job_id)
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(claim_all, range(8)))
    assert sorted(job_id for mine in claimed for job_id in mine) == made[3:]
    assert all(mine == sorted(mine) for mine in claimed)


def test_a_claimed_job_says_who_has_it_and_since_when(engine: Engine) -> None:
    attempt = create_attempt(engine, worker="machine-7", lease_seconds=30)
    job = reread(engine, attempt.job_id)
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


def test_a_job_that_is_not_there_is_not_claimed(engine: Engine) -> None:
    for job_id in ("job_none", "", "job_\0", "../x", "x" * 1000):
        assert attempts.claim(engine, job_id, "worker-1", 30) is None


def test_the_oldest_ready_job_is_next(engine: Engine) -> None:
    made = [create_job(engine) for _ in range(4)]
    create_attempt(engine, made[1])
    later = create_attempt(engine, made[0])
    with later.fenced_session() as (session, job):
        apply_retry_policy(session, job, BROKEN, RetryPolicy(backoff_seconds=60))
    with read_session(engine) as session:
        assert attempts.list_claimable(session) == [made[2].id, made[3].id]
        assert attempts.list_claimable(session, limit=1) == [made[2].id]
    assert attempts.claim(engine, made[0].id, "worker-2", 30) is None


def test_leases_go_by_the_databases_clock_not_by_the_workers(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time() * 1000
    monkeypatch.setattr(time, "time", lambda: 0.0)
    attempt = create_attempt(engine, lease_seconds=30)
    assert sweep(engine) == []
    renewed = attempt.renew()
    assert renewed.lease_expires_at is not None
    assert abs(renewed.lease_expires_at - now - 30_000) < 5_000


# -- the fence


def record_metrics(session: Session, job: JobRow) -> None:
    metrics.record(session, job.id, job.attempt, 1, {"loss": 1.0})


def put_artifact(session: Session, job: JobRow) -> None:
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


def publish(session: Session, job: JobRow) -> None:
    model = models.publish(session, job, model_description(), object_key="k", size=1, sha256=SHA256)
    attempts.succeed(session, job, {}, model.id)


def fail(session: Session, job: JobRow) -> None:
    apply_retry_policy(session, job, DIVERGED, RetryPolicy())


def release(session: Session, job: JobRow) -> None:
    attempts.release(session, job, "shut down")


def note(session: Session, job: JobRow) -> None:
    events.append(session, job, "note", {"message": "still here"})


def change(session: Session, job: JobRow) -> None:
    job.progress = {"step": 99}


WRITES: list[Callable[[Session, JobRow], Any]] = [
    record_metrics,
    put_artifact,
    publish,
    fail,
    release,
    note,
    change,
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

    def write(what: Callable[[Session, JobRow], Any]) -> None:
        with attempt.fenced_session() as (session, job):
            what(session, job)

    for what in WRITES:
        with pytest.raises(LeaseLost):
            write(what)
    for call in (
        attempt.renew,
        lambda: start_phase(attempt, "training"),
        lambda: set_progress(attempt, {"step": 99}),
    ):
        with pytest.raises(LeaseLost):
            call()
    assert state(engine, attempt.job_id) == before


def test_a_stale_attempt_writes_nothing_once_the_job_is_claimed_again(engine: Engine) -> None:
    zombie = create_attempt(engine)
    let_lease_run_out(engine, zombie.job_id)
    assert sweep(engine) == [zombie.job_id]
    assert_writes_nothing(engine, zombie)
    second = create_attempt(engine, reread(engine, zombie.job_id), worker="worker-2")
    assert second.number == 2
    assert_writes_nothing(engine, zombie)
    with second.fenced_session() as (session, job):
        publish(session, job)
    assert_writes_nothing(engine, zombie)
    assert_writes_nothing(engine, second)


def test_an_attempt_writes_all_of_it_or_nothing(engine: Engine) -> None:
    attempt = create_attempt(engine)
    before = state(engine, attempt.job_id)

    def break_off() -> None:
        with attempt.fenced_session() as (session, job):
            record_metrics(session, job)
            put_artifact(session, job)
            publish(session, job)
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert state(engine, attempt.job_id) == before


def test_a_renewal_shows_that_the_job_is_being_cancelled(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cancel(engine, attempt.job_id)
    assert attempt.renew().status == "cancelling"


# -- how attempts end


def test_a_job_that_was_done_before_the_cancel_reached_it_succeeds(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cancel(engine, attempt.job_id)
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job, {"best": {"clean": 0.5}})
    job = reread(engine, attempt.job_id)
    assert (job.status, job.results, job.phase, job.lease_expires_at) == (
        "succeeded",
        {"best": {"clean": 0.5}},
        None,
        None,
    )
    assert job.finished_at is not None


def test_a_cancelling_job_that_fails_or_is_released_is_cancelled(engine: Engine) -> None:
    for what in (fail, release):
        attempt = create_attempt(engine)
        cancel(engine, attempt.job_id)
        with attempt.fenced_session() as (session, job):
            what(session, job)
        assert reread(engine, attempt.job_id).status == "cancelled"


def test_a_release_in_good_order_does_not_count(engine: Engine) -> None:
    job = create_job(engine)
    for number in range(1, 8):
        attempt = create_attempt(engine, job)
        assert attempt.number == number
        with attempt.fenced_session() as (session, held):
            attempts.release(session, held, "its worker was shut down")
    job = reread(engine, job.id)
    assert (job.status, job.infrastructure_failures, job.worker) == ("queued", 0, None)
    assert job.pending_reason == "its worker was shut down"


# -- the sweeper


def test_a_lost_worker_gives_its_job_back_and_after_max_attempts_the_job_fails(
    engine: Engine,
) -> None:
    job = create_job(engine)
    for expected in ("queued", "queued", "failed"):
        create_attempt(engine, job, worker="machine-7")
        assert sweep(engine, max_attempts=3) == []
        let_lease_run_out(engine, job.id)
        assert sweep(engine, max_attempts=3) == [job.id]
        assert sweep(engine, max_attempts=3) == []
        assert reread(engine, job.id).status == expected
    failure = reread(engine, job.id).failure
    assert failure is not None
    assert failure["code"] == "worker_lost"
    assert "machine-7" in failure["message"]


def test_a_cancelling_job_whose_worker_is_lost_is_cancelled(engine: Engine) -> None:
    attempt = create_attempt(engine)
    cancel(engine, attempt.job_id)
    let_lease_run_out(engine, attempt.job_id)
    assert sweep(engine) == [attempt.job_id]
    assert reread(engine, attempt.job_id).status == "cancelled"


def test_sweepers_and_renewals_at_once_count_a_lost_lease_once(engine: Engine) -> None:
    lost = [create_attempt(engine) for _ in range(6)]
    for attempt in lost:
        let_lease_run_out(engine, attempt.job_id)
    with ThreadPoolExecutor(4) as pool:
        swept = [
            job_id for found in pool.map(lambda _: sweep(engine), range(4)) for job_id in found
        ]
    assert sorted(swept) == sorted(attempt.job_id for attempt in lost)
    assert {reread(engine, attempt.job_id).infrastructure_failures for attempt in lost} == {1}


def test_a_worker_that_renews_in_time_is_not_swept(engine: Engine) -> None:
    attempt = create_attempt(engine)
    let_lease_run_out(engine, attempt.job_id)
    attempt.renew()
    assert sweep(engine) == []


def test_numbers_of_events_have_no_gaps_whoever_writes(engine: Engine) -> None:
    attempt = create_attempt(engine)

    def say(number: int) -> None:
        if number == 10:
            cancel(engine, attempt.job_id)
        else:
            with attempt.fenced_session() as (session, job):
                events.append(session, job, "note", {"message": str(number)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(say, range(30)))
    with read_session(engine) as session:
        found = events.list_after(session, attempt.job_id)
        assert [event.seq for event in found] == list(range(1, 33))
        assert [event.seq for event in events.list_after(session, attempt.job_id, seq=29, limit=2)] == [
            30,
            31,
        ]
        assert events.list_after(session, attempt.job_id, seq=10**30) == []
