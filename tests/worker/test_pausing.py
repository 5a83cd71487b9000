"""Pause, resume and retry, with a real worker and real trainers."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.errors import JobFailed
from core.jobspec.status import Action
from core.store import attempts, jobs
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.builders import claim_job, training_spec
from tests.worker.results import latest_checkpoint_step, resume_steps
from tests.worker.service import Service, get_job, submit, wait_for, wait_for_end


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """These tests do not depend on the kind of database."""
    return sqlite_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {"DISTILL_HOME": str(tmp_path / "home"), "DISTILL_DATABASE_URL": database_url}


def request(engine: Engine, job_id: str, action: Action) -> JobRow:
    with write_session(engine) as session:
        return jobs.apply_action(session, DEFAULT_PROJECT, job_id, action)[0]


def test_a_paused_job_frees_its_worker_and_resumes_at_its_step(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    first = submit(engine, training_spec(schedule={"epochs": 40, "batch_size": 64}))
    with Service(settings, tmp_path / "worker.log") as worker:
        wait_for(lambda: get_job(engine, first).progress, 120, "the first steps")
        assert request(engine, first, "pause").status == "pausing"
        paused = wait_for(
            lambda: (job := get_job(engine, first)).status == "paused" and job, 60, "a pause"
        )
        assert (paused.worker, paused.infrastructure_failures, paused.lease_expires_at) == (
            None,
            0,
            None,
        )
        assert not worker.trainers()
        step = latest_checkpoint_step(engine, first)
        assert step > 0
        assert wait_for_end(engine, submit(engine, training_spec())).status == "succeeded", (
            "another job has the worker"
        )
        assert get_job(engine, first).status == "paused"
        request(engine, first, "resume")
        job = wait_for_end(engine, first)
    assert (job.status, job.attempt) == ("succeeded", 2), job.failure
    assert resume_steps(engine, first) == [step]


def test_a_retried_job_resumes_from_its_checkpoint(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    job_id = submit(
        engine, training_spec(schedule={"epochs": 40, "batch_size": 64, "checkpoint_seconds": 0})
    )
    with Service({**settings, "DISTILL_MAX_ATTEMPTS": "1"}, tmp_path / "worker.log") as worker:
        wait_for(lambda: latest_checkpoint_step(engine, job_id) > 0, 120, "a checkpoint")
        worker.trainers()[0].kill()
        failed = wait_for_end(engine, job_id)
        assert failed.failure is not None
        assert (failed.status, failed.failure["retryable"]) == ("failed", True)
        request(engine, job_id, "retry")
        wait_for(lambda: get_job(engine, job_id).status != "queued", 30, "another claim")
        job = wait_for_end(engine, job_id)
    assert (job.status, job.attempt, job.failure) == ("succeeded", 2, None)
    assert resume_steps(engine, job_id)[0] > 0


def test_a_paused_job_is_not_claimed_but_can_be_cancelled(engine: Engine) -> None:
    job_id = submit(engine, training_spec())
    request(engine, job_id, "pause")
    assert claim_job(engine, job_id) is None
    with read_session(engine) as session:
        assert attempts.list_claimable(session) == []
    assert request(engine, job_id, "cancel").status == "cancelled"


def test_a_pausing_job_whose_worker_is_lost_is_paused(engine: Engine) -> None:
    job_id = submit(engine, training_spec())
    assert claim_job(engine, job_id, lease_seconds=-1) is not None
    request(engine, job_id, "pause")
    assert attempts.reclaim_expired(engine, RetryPolicy()) == [job_id]
    assert get_job(engine, job_id).status == "paused"


def test_the_end_of_a_job_overtakes_a_request_to_pause_it(engine: Engine) -> None:
    for expected in ("succeeded", "failed"):
        job_id = submit(engine, training_spec())
        attempt = claim_job(engine, job_id)
        assert attempt is not None
        request(engine, job_id, "pause")
        with attempt.fenced_session() as (session, job):
            if expected == "succeeded":
                attempts.succeed(session, job)
            else:
                apply_retry_policy(
                    session, job, JobFailed("diverged", "user", "It diverged."), RetryPolicy()
                )
        assert get_job(engine, job_id).status == expected
