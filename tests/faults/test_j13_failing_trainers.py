"""J13: however a trainer fails, the attempts are bounded, and the job says why."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.store.database.engine import read_session
from core.store.database.tables import JobRow
from core.store.lifecycle import transitions
from tests.builders import training_spec
from tests.faults.sabotage import Sabotage
from tests.worker.service import submit, wait_for_end

ATTEMPTS = "3"
"""Of five, so that the test is short; the pauses between them are those of tests/store/lifecycle/test_retry_policy.py."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database makes no difference here."""
    return sqlite_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(tmp_path / "home"),
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_MAX_ATTEMPTS": ATTEMPTS,
        "DISTILL_BACKOFF_SECONDS": "0.05",
    }


def ended(engine: Engine, settings: dict[str, str], folder: Path, sabotage: Sabotage) -> JobRow:
    job_id = submit(
        engine, training_spec(schedule={"epochs": 3, "batch_size": 64, "checkpoint_seconds": 0})
    )
    with sabotage.worker(settings, folder / "worker.log"):
        return wait_for_end(engine, job_id, 240)


def test_j13_a_trainer_that_dies_is_tried_again_so_often_and_no_more(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    sabotage = Sabotage(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
    job = ended(engine, settings, tmp_path, sabotage)
    assert job.failure is not None
    assert (job.status, job.failure["class"], job.attempt, sabotage.count()) == (
        "failed",
        "infrastructure",
        3,
        3,
    )
    assert (
        job.failure["message"]
        == "The trainer was killed by SIGSEGV. This was the last of 3 attempts."
    )
    with read_session(engine) as session:
        history = [event.data["to"] for event in transitions.history(session, job.id)]
    assert history == ["queued", *["running", "queued"] * 2, "running", "failed"]


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("sys.exit(0)", "exited with status 0 without reporting a failure"),
        (
            "print('sector 7', file=sys.stderr); os._exit(9)",
            "exited with status 9 without reporting a failure. sector 7",
        ),
        ("raise OSError(5, 'Input/output error')", "Input/output error"),
    ],
    ids=["sys.exit", "exit status 9", "an I/O error"],
)
def test_j13_the_reason_is_shown_and_is_nobodys_fault(
    engine: Engine, settings: dict[str, str], tmp_path: Path, fault: str, shown: str
) -> None:
    job = ended(
        engine, settings | {"DISTILL_MAX_ATTEMPTS": "1"}, tmp_path, Sabotage(tmp_path, fault)
    )
    assert job.failure is not None
    assert (job.status, job.failure["class"], job.failure["retryable"]) == (
        "failed",
        "infrastructure",
        True,
    )
    assert shown in job.failure["message"]


def test_j13_a_trainer_that_dies_once_goes_on_from_its_checkpoint(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    sabotage = Sabotage(tmp_path, "times == 1 and os.kill(os.getpid(), signal.SIGSEGV)")
    job = ended(engine, settings, tmp_path, sabotage)
    assert (job.status, job.attempt) == ("succeeded", 2), job.failure


def test_j13_memory_that_runs_out_is_tried_once_more_and_then_comes_with_advice(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    sabotage = Sabotage(tmp_path, "torch.empty(2**50)")
    job = ended(engine, settings, tmp_path, sabotage)
    assert job.failure is not None
    assert (job.status, job.attempt, sabotage.count()) == ("failed", 2, 2)
    assert (job.failure["code"], job.failure["class"]) == ("out_of_memory", "user")
    assert "batch_size" in job.failure["message"]


@pytest.mark.parametrize(
    ("fault", "code", "shown"),
    [
        ("raise ValueError('a mistake')", "trainer_error", "ValueError: a mistake"),
        (
            "next(self.student.parameters()).data.fill_(float('nan'))",
            "non_finite_loss",
            "at step 7",
        ),
    ],
    ids=["a mistake", "NaN loss"],
)
def test_j13_what_fails_in_the_same_way_again_is_tried_once(
    engine: Engine, settings: dict[str, str], tmp_path: Path, fault: str, code: str, shown: str
) -> None:
    sabotage = Sabotage(tmp_path, fault)
    job = ended(engine, settings, tmp_path, sabotage)
    assert job.failure is not None
    assert (job.status, job.attempt, sabotage.count()) == ("failed", 1, 1)
    assert (job.failure["code"], job.failure["class"], job.failure["retryable"]) == (
        code,
        "user",
        False,
    )
    assert shown in job.failure["message"]
