"""One job through a real worker process and a real trainer process, and what is left after each way it can end."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from core.spec.job import TrainingJob
from core.store import artifacts, events, jobs, metrics
from core.store.engine import make_engine, reading, writing
from core.store.tables import DEFAULT_PROJECT, Artifact, Job, Model
from tests.builders import training_spec
from tests.worker.service import Service, look, submit, until, until_done

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what has nothing to do with the database: tests/deployment and the tests without this mark see Postgres."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {"DISTILL_HOME": str(tmp_path / "home"), "DISTILL_DATABASE_URL": database_url}


@pytest.fixture
def engine(settings: dict[str, str]) -> Iterator[Engine]:
    engine = make_engine(settings["DISTILL_DATABASE_URL"])
    yield engine
    engine.dispose()


@pytest.fixture
def worker(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    with Service(settings, tmp_path / "worker.log") as service:
        yield service


def endless() -> TrainingJob:
    return training_spec(schedule={"epochs": 10_000, "batch_size": 64, "checkpoint_seconds": 0})


def short(epochs: int = 30) -> TrainingJob:
    return training_spec(schedule={"epochs": epochs, "batch_size": 64, "checkpoint_seconds": 0})


def checkpointed(engine: Engine, job_id: str) -> bool:
    with reading(engine) as session:
        return bool(artifacts.checkpoints(session, job_id))


def assert_exactly_one_result(engine: Engine, job: Job) -> None:
    with reading(engine) as session:
        assert job.status == "succeeded", job.failure
        students = session.scalar(select(func.count()).select_from(Model).where(Model.source_job_id == job.id))
        names = [artifact.name for artifact in session.scalars(select(Artifact).where(Artifact.job_id == job.id))]
    assert students == 1
    assert sorted(name for name in names if not name.startswith("checkpoint")) == [
        "MODEL_CARD.md",
        "best.safetensors",
        "last.safetensors",
        "per_class.png",
        "per_class.svg",
        "report.html",
        "report.json",
        "report.md",
        "training.png",
        "training.svg",
    ]
    assert sum(name.startswith("checkpoint") for name in names) == 2


def assert_nothing_left(home: Path) -> None:
    until(lambda: not list((home / "scratch" / "jobs").glob("*")), 10, "an empty scratch folder")


def test_a_job_runs_to_its_end_and_its_results_are_kept(
    engine: Engine, settings: dict[str, str], worker: Service, tmp_path: Path
) -> None:
    job = until_done(engine, submit(engine, short(3)))
    assert_exactly_one_result(engine, job)
    assert job.results
    assert job.results["best"].keys() == {"clean", "pgd", "held_out_clean", "held_out_robust", "training_seconds_per_epoch"}
    with reading(engine) as session:
        said = [event.type for event in events.after(session, job.id, 0, 1000)]
        assert {"status", "phase", "epoch", "file", "measured"} <= set(said)
        assert "loss" in metrics.names(session, job.id)
    until(lambda: not worker.trainers(), 10, "the trainer's end")
    assert_nothing_left(tmp_path / "home")


def test_a_job_whose_worker_is_killed_goes_on_from_its_checkpoint_and_has_one_result(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    job_id = submit(engine, short(60))
    with Service(settings, tmp_path / "first.log") as first:
        until(lambda: checkpointed(engine, job_id), 60, "a checkpoint")
        trainers = first.trainers()
        first.kill()
        until(lambda: not any(trainer.is_running() for trainer in trainers), 10, "the end of the killed worker's trainer")
    with Service(settings, tmp_path / "second.log"):
        job = until_done(engine, job_id)
        assert_nothing_left(tmp_path / "home")
    assert job.attempt == 2
    assert_exactly_one_result(engine, job)
    with reading(engine) as session:
        resumed = [event for event in events.after(session, job_id, 0, 1000) if event.type == "resumed"]
    assert resumed[0].data["step"] > 0


@on_sqlite
def test_a_job_whose_trainer_is_killed_goes_on_in_the_same_worker(engine: Engine, worker: Service) -> None:
    job_id = submit(engine, short(60))
    until(lambda: checkpointed(engine, job_id), 60, "a checkpoint")
    worker.trainers()[0].kill()
    job = until_done(engine, job_id)
    assert (job.attempt, job.infrastructure_failures) == (2, 1)
    assert_exactly_one_result(engine, job)


@on_sqlite
def test_a_cancelled_job_ends_with_its_trainer_and_publishes_nothing(engine: Engine, worker: Service) -> None:
    job_id = submit(engine, endless())
    until(lambda: checkpointed(engine, job_id), 60, "a checkpoint")
    with writing(engine) as session:
        jobs.request_cancel(session, DEFAULT_PROJECT, job_id)
    job = until_done(engine, job_id, 30)
    assert job.status == "cancelled"
    assert job.model_id is None
    until(lambda: not worker.trainers(), 10, "the trainer's end")


@on_sqlite
def test_a_trainer_that_ignores_the_request_to_stop_is_killed(engine: Engine, settings: dict[str, str], tmp_path: Path) -> None:
    with Service({**settings, "DISTILL_GRACE_SECONDS": "2"}, tmp_path / "worker.log") as worker:
        job_id = submit(engine, endless())
        until(lambda: checkpointed(engine, job_id), 60, "a checkpoint")
        trainer = worker.trainers()[0]
        trainer.suspend()
        with writing(engine) as session:
            jobs.request_cancel(session, DEFAULT_PROJECT, job_id)
        assert until_done(engine, job_id, 30).status == "cancelled"
        until(lambda: not trainer.is_running(), 10, "the trainer's end")


@on_sqlite
def test_a_worker_that_is_shut_down_gives_its_job_back_with_a_checkpoint(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    job_id = submit(engine, endless())
    with Service(settings, tmp_path / "worker.log") as worker:
        until(lambda: checkpointed(engine, job_id), 60, "a checkpoint")
        worker.send(signal.SIGTERM)
        assert worker.wait(40) == 0
    job = look(engine, job_id)
    assert (job.status, job.infrastructure_failures) == ("queued", 0)
    assert checkpointed(engine, job_id)


@on_sqlite
def test_a_loss_that_is_not_finite_fails_the_job_and_keeps_the_last_good_checkpoint(engine: Engine, worker: Service) -> None:
    exploding = {"epochs": 100, "batch_size": 64, "learning_rate": 100.0, "weight_decay": 1.0, "checkpoint_seconds": 0}
    job = until_done(engine, submit(engine, training_spec(schedule={**exploding, "decay": {"name": "constant"}})))
    assert (job.status, job.attempt) == ("failed", 1), "a user's failure is not tried again"
    assert job.failure
    assert (job.failure["class"], job.failure["code"], job.failure["retryable"]) == ("user", "non_finite_loss", False)
    assert re.search(r"loss term \w+ (became (nan|inf|-inf)|is not finite) at step \d+;", job.failure["message"])
    assert checkpointed(engine, job.id)


def test_a_zombie_that_wakes_up_can_write_nothing(engine: Engine, settings: dict[str, str], tmp_path: Path) -> None:
    job_id = submit(engine, short(60))
    with Service(settings, tmp_path / "zombie.log") as zombie:
        until(lambda: checkpointed(engine, job_id), 60, "a checkpoint")
        trainers = zombie.trainers()
        for process in trainers:
            process.suspend()
        zombie.send(signal.SIGSTOP)
        with Service(settings, tmp_path / "second.log"):
            job = until_done(engine, job_id)
        for process in trainers:
            process.resume()
        zombie.send(signal.SIGCONT)
        until(lambda: not zombie.trainers(), 30, "the end of the zombie's trainer")
    assert job.attempt == 2
    after = look(engine, job_id)
    assert (after.version, after.event_seq, after.status) == (job.version, job.event_seq, "succeeded")
    assert_exactly_one_result(engine, after)


@on_sqlite
def test_a_corrupt_checkpoint_is_found_before_it_is_loaded_and_the_one_before_is_used(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    job_id = submit(engine, short(60))
    with Service(settings, tmp_path / "first.log") as first:
        until(lambda: checkpointed(engine, job_id), 60, "a checkpoint")
        first.send(signal.SIGTERM)
        first.wait(40)
    with reading(engine) as session:
        newest = artifacts.checkpoints(session, job_id)[0]
    path = tmp_path / "home" / "objects" / newest.object_key
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with Service(settings, tmp_path / "second.log"):
        job = until_done(engine, job_id)
    assert job.status == "succeeded"
    with reading(engine) as session:
        notes = [event.data["message"] for event in events.after(session, job_id, 0, 5000) if event.type == "note"]
    assert any(newest.name in note for note in notes)


def test_the_supervising_process_never_imports_torch() -> None:
    code = "import sys, worker.local, worker.app; sys.exit('torch' in sys.modules or 'fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_trainer_gets_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from core.settings import Settings
    from worker.trainer_process import environment

    for name in (
        "DISTILL_DATABASE_URL",
        "DISTILL_S3_SECRET_ACCESS_KEY",
        "DISTILL_BOOTSTRAP_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "HTTPS_PROXY",
    ):
        monkeypatch.setenv(name, "canary")
    assert "canary" not in str(environment(tmp_path, Settings(), training_spec()))
