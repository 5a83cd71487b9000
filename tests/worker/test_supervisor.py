"""One job with a real worker and a real trainer process, and what each way to end leaves behind."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from core.store import events, jobs, metrics
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobResultRow, JobRow
from core.summary_statistics import wilson_interval
from tests.builders import training_spec
from tests.worker.results import (
    assert_exactly_one_result,
    assert_nothing_left,
    endless_job,
    latest_checkpoint_step,
    short_job,
)
from tests.worker.service import Service, submit, wait_for, wait_for_end

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests whose subject is not the database. All others also run on Postgres."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {"DISTILL_HOME": str(tmp_path / "home"), "DISTILL_DATABASE_URL": database_url}


@pytest.fixture
def worker(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    with Service(settings, tmp_path / "worker.log") as service:
        yield service


def assert_results_are_rows(engine: Engine, job: JobRow) -> None:
    """Every number of the job has a row; that of an accuracy says which images are correct."""
    with read_session(engine) as session:
        statement = select(JobResultRow).where(JobResultRow.job_id == job.id)
        rows = {(row.network, row.key): row for row in session.scalars(statement)}
    assert {
        network: {key: row.value for (owner, key), row in rows.items() if owner == network}
        for network in ("best", "last")
    } == job.results
    for key in ("clean", "pgd-2@linf:0.1"):
        row = rows["best", key]
        assert (row.images, row.model_id, len(row.mask or b"")) == (64, job.model_id, 8)
        assert int.from_bytes(row.mask or b"").bit_count() == round(64 * row.value)
        assert row.image_set == rows["last", key].image_set
        assert (row.low, row.high) == pytest.approx(wilson_interval(row.value, 64))
        assert len(row.per_class or []) == 10
    held_out = rows["best", "held_out_clean"]
    assert (held_out.mask, held_out.image_set) == (None, None)
    assert held_out.images


def test_a_job_runs_to_its_end_and_its_results_are_saved(
    engine: Engine, settings: dict[str, str], worker: Service, tmp_path: Path
) -> None:
    job = wait_for_end(engine, submit(engine, short_job(3)))
    assert_exactly_one_result(engine, job)
    assert job.results
    assert job.results["best"].keys() == {
        "clean",
        "pgd-2@linf:0.1",
        "held_out_clean",
        "held_out_pgd-10@linf:0.1",
        "training_seconds_per_epoch",
    }
    with read_session(engine) as session:
        types = {event.type for event in events.list_after(session, job.id, 0, 1000)}
        assert {"status", "phase", "epoch", "file", "measured"} <= types
        assert "loss" in metrics.load_series(session, [job.id])[job.id]
    assert_results_are_rows(engine, job)
    wait_for(lambda: not worker.trainers(), 10, "the trainer's end")
    assert_nothing_left(tmp_path / "home" / "scratch")


@on_sqlite
def test_a_killed_trainers_job_resumes_in_the_same_worker(engine: Engine, worker: Service) -> None:
    job_id = submit(engine, short_job(60))
    wait_for(lambda: latest_checkpoint_step(engine, job_id), 60, "a checkpoint")
    worker.trainers()[0].kill()
    job = wait_for_end(engine, job_id)
    assert (job.attempt, job.infrastructure_failures) == (2, 1)
    assert_exactly_one_result(engine, job)


@on_sqlite
def test_a_trainer_that_ignores_the_request_to_stop_is_killed(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    with Service({**settings, "DISTILL_GRACE_SECONDS": "2"}, tmp_path / "worker.log") as worker:
        job_id = submit(engine, endless_job())
        wait_for(lambda: latest_checkpoint_step(engine, job_id), 60, "a checkpoint")
        trainer = worker.trainers()[0]
        trainer.suspend()
        with write_session(engine) as session:
            jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")
        assert wait_for_end(engine, job_id, 30).status == "cancelled"
        wait_for(lambda: not trainer.is_running(), 10, "the trainer's end")


EXPLODING = {
    "epochs": 100,
    "batch_size": 64,
    "learning_rate": 100.0,
    "weight_decay": 1.0,
    "checkpoint_seconds": 0,
    "decay": {"name": "constant"},
}


@on_sqlite
def test_a_diverged_training_is_told_and_not_retried(engine: Engine, worker: Service) -> None:
    job = wait_for_end(engine, submit(engine, training_spec(schedule=EXPLODING)))
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.failure
    assert (job.failure["class"], job.failure["code"]) == ("user", "diverged")
    assert "A lower learning rate" in job.failure["message"]
    with read_session(engine) as session:
        (warning,) = events.list_of_type(session, job.id, "warning")
    assert warning.data["code"] == "diverged"
    assert warning.data["message"].startswith("The mean loss of epoch ")


@on_sqlite
def test_a_non_finite_loss_fails_the_job_but_keeps_a_checkpoint(
    engine: Engine, worker: Service
) -> None:
    schedule = {**EXPLODING, "on_divergence": "continue"}
    job = wait_for_end(engine, submit(engine, training_spec(schedule=schedule)))
    assert (job.status, job.attempt) == ("failed", 1), "a user's failure is not retried"
    assert job.failure
    assert (job.failure["class"], job.failure["code"], job.failure["retryable"]) == (
        "user",
        "non_finite_loss",
        False,
    )
    assert re.search(
        r"loss term \w+ (became (nan|inf|-inf)|is not finite) at step \d+;", job.failure["message"]
    )
    assert latest_checkpoint_step(engine, job.id)


def test_the_supervisor_never_imports_torch() -> None:
    code = (
        "import sys, worker.polling, worker.app; "
        "sys.exit('torch' in sys.modules or 'fastapi' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_trainer_gets_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from core.settings import Settings
    from worker.trainer_process import trainer_environment

    for name in (
        "DISTILL_DATABASE_URL",
        "DISTILL_S3_SECRET_ACCESS_KEY",
        "DISTILL_BOOTSTRAP_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "HTTPS_PROXY",
    ):
        monkeypatch.setenv(name, "canary")
    assert "canary" not in str(trainer_environment(tmp_path, Settings(), training_spec()))
