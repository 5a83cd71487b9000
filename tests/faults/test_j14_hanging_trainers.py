"""J14: a trainer hangs while its worker is alive: the watchdog ends it, and the job resumes."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.store.database.engine import read_session
from core.store.lifecycle import transitions
from tests.builders import training_spec
from tests.faults.trainer_faults import TrainerFault
from tests.worker.results import short_job
from tests.worker.service import submit, wait_for_end

HANG_SECONDS = 20
"""Not the default of 300; longer than a trainer takes to start on busy cores."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database makes no difference here."""
    return sqlite_url


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(tmp_path / "home"),
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_HANG_SECONDS": str(HANG_SECONDS),
        "DISTILL_BACKOFF_SECONDS": "0.05",
    }


def test_j14_hanging_trainer_is_ended_and_its_job_resumes(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """The first trainer hangs; the second attempt succeeds."""
    fault = TrainerFault(
        tmp_path,
        """if times == 1:
            while True:
                pass""",
    )
    job_id = submit(engine, short_job(3))
    with fault.start_worker(environment, tmp_path / "worker.log") as worker:
        job = wait_for_end(engine, job_id, 240)
        assert not worker.trainers()
    assert (job.status, job.attempt, job.timeouts, job.infrastructure_failures) == (
        "succeeded",
        2,
        1,
        0,
    ), job.failure
    with read_session(engine) as session:
        reasons = [event.data["reason"] for event in transitions.history(session, job.id)]
    assert any("made no progress" in (reason or "") for reason in reasons)


def test_j14_job_fails_if_its_trainer_always_hangs(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """After as many attempts as DISTILL_MAX_TIMEOUTS says, here one."""
    fault = TrainerFault(tmp_path, "time.sleep(10**6)")
    job_id = submit(engine, training_spec(schedule={"epochs": 3, "batch_size": 64}))
    environment["DISTILL_MAX_TIMEOUTS"] = "1"
    with fault.start_worker(environment, tmp_path / "worker.log"):
        job = wait_for_end(engine, job_id, 240)
    assert job.failure is not None
    assert (job.status, job.attempt, fault.count()) == ("failed", 1, 1)
    assert (job.failure["code"], job.failure["class"], job.failure["retryable"]) == (
        "trainer_hung",
        "timeout",
        True,
    )
