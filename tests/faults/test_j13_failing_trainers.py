"""J13: however a trainer fails, the number of attempts is bounded, and the job shows the reason."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.store.database.engine import read_session
from core.store.database.tables import JobRow
from core.store.lifecycle import transitions
from tests.faults.trainer_faults import TrainerFault
from tests.worker.results import short_job
from tests.worker.service import submit, wait_for_end

ATTEMPTS = "3"
"""Not the default of five, so that the tests are short.

The pauses between attempts are tested in tests/store/lifecycle/test_retry_policy.py.
"""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database makes no difference here."""
    return sqlite_url


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(tmp_path / "home"),
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_MAX_ATTEMPTS": ATTEMPTS,
        "DISTILL_BACKOFF_SECONDS": "0.05",
    }


def run_job(
    engine: Engine, environment: dict[str, str], folder: Path, fault: TrainerFault
) -> JobRow:
    """Run a job on a worker whose trainers have the fault; return the ended job."""
    job_id = submit(engine, short_job(3))
    with fault.start_worker(environment, folder / "worker.log"):
        return wait_for_end(engine, job_id, 240)


def test_j13_trainer_that_always_dies_gets_three_attempts(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """As many as DISTILL_MAX_ATTEMPTS says."""
    fault = TrainerFault(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
    job = run_job(engine, environment, tmp_path, fault)
    assert job.failure is not None
    assert (job.status, job.failure["class"], job.attempt, fault.count()) == (
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
    ("fault", "reason"),
    [
        ("sys.exit(0)", "exited with status 0 without reporting a failure"),
        (
            "print('sector 7', file=sys.stderr); os._exit(9)",
            "exited with status 9 without reporting a failure. sector 7",
        ),
        ("raise OSError(5, 'Input/output error')", "Input/output error"),
    ],
    ids=["sys.exit", "exit status 9", "I/O error"],
)
def test_j13_infrastructure_failure_shows_its_reason(
    engine: Engine, environment: dict[str, str], tmp_path: Path, fault: str, reason: str
) -> None:
    """It is not the user's failure, and the job can be retried."""
    environment["DISTILL_MAX_ATTEMPTS"] = "1"
    job = run_job(engine, environment, tmp_path, TrainerFault(tmp_path, fault))
    assert job.failure is not None
    assert (job.status, job.failure["class"], job.failure["retryable"]) == (
        "failed",
        "infrastructure",
        True,
    )
    assert reason in job.failure["message"]


def test_j13_job_resumes_after_one_death_of_its_trainer(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """The second attempt resumes from the checkpoint and succeeds."""
    fault = TrainerFault(tmp_path, "times == 1 and os.kill(os.getpid(), signal.SIGSEGV)")
    job = run_job(engine, environment, tmp_path, fault)
    assert (job.status, job.attempt) == ("succeeded", 2), job.failure


def test_j13_out_of_memory_is_retried_once(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """The second time it is the user's failure, with advice."""
    fault = TrainerFault(tmp_path, "torch.empty(2**50)")
    job = run_job(engine, environment, tmp_path, fault)
    assert job.failure is not None
    assert (job.status, job.attempt, fault.count()) == ("failed", 2, 2)
    assert (job.failure["code"], job.failure["class"]) == ("out_of_memory", "user")
    assert "batch_size" in job.failure["message"]


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("raise ValueError('a mistake')", "trainer_error", "ValueError: a mistake"),
        (
            "next(self.student.parameters()).data.fill_(float('nan'))",
            "non_finite_loss",
            "at step 7",
        ),
    ],
    ids=["exception", "NaN loss"],
)
def test_j13_failure_that_would_repeat_is_not_retried(
    engine: Engine,
    environment: dict[str, str],
    tmp_path: Path,
    fault: str,
    code: str,
    reason: str,
) -> None:
    """An exception and a loss that is not finite would come again: they are the user's."""
    trainer_fault = TrainerFault(tmp_path, fault)
    job = run_job(engine, environment, tmp_path, trainer_fault)
    assert job.failure is not None
    assert (job.status, job.attempt, trainer_fault.count()) == ("failed", 1, 1)
    assert (job.failure["code"], job.failure["class"], job.failure["retryable"]) == (
        code,
        "user",
        False,
    )
    assert reason in job.failure["message"]
