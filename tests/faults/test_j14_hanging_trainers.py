"""J14: a trainer that hangs while its worker is well is ended by the watchdog, and the job goes on from its checkpoint."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.store.database.engine import read_session
from core.store.lifecycle import transitions
from tests.builders import training_spec
from tests.faults.sabotage import Sabotage
from tests.worker.service import submit, wait_for_end

HANG_SECONDS = 20
"""Of 300; the start of a trainer on busy cores is shorter."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database makes no difference here."""
    return sqlite_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(tmp_path / "home"),
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_HANG_SECONDS": str(HANG_SECONDS),
        "DISTILL_BACKOFF_SECONDS": "0.05",
    }


def test_j14_a_trainer_that_hangs_is_ended_and_its_job_goes_on(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    sabotage = Sabotage(
        tmp_path,
        """if times == 1:
            while True:
                pass""",
    )
    job_id = submit(
        engine, training_spec(schedule={"epochs": 3, "batch_size": 64, "checkpoint_seconds": 0})
    )
    with sabotage.worker(settings, tmp_path / "worker.log") as worker:
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


def test_j14_a_trainer_that_always_hangs_is_the_end(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    sabotage = Sabotage(tmp_path, "time.sleep(10**6)")
    job_id = submit(engine, training_spec(schedule={"epochs": 3, "batch_size": 64}))
    with sabotage.worker(settings | {"DISTILL_MAX_TIMEOUTS": "1"}, tmp_path / "worker.log"):
        job = wait_for_end(engine, job_id, 240)
    assert job.failure is not None
    assert (job.status, job.attempt, sabotage.count()) == ("failed", 1, 1)
    assert (job.failure["code"], job.failure["class"], job.failure["retryable"]) == (
        "trainer_hung",
        "timeout",
        True,
    )
