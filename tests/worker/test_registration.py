"""A worker that drains, or whose database is migrated under it, finishes what it has and claims nothing: real processes."""

import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.store import jobs, workers
from core.store.database import schema
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.workers import WorkerState
from tests.builders import training_spec
from tests.store.database.test_schema import set_schema
from tests.worker.service import Service, get_job, submit, wait_for, wait_for_end

SHORT = {"epochs": 4, "batch_size": 64}
CELERY = (
    "-m",
    "celery",
    "--app",
    "worker.app",
    "worker",
    "--pool",
    "threads",
    "--concurrency",
    "1",
    "--loglevel",
    "WARNING",
)


def seen(engine: Engine) -> dict[str, WorkerState]:
    with read_session(engine) as session:
        return {worker.row.name: worker for worker in workers.list_workers(session)}


def name_of(engine: Engine, worker: Service) -> str:
    """By its process id, with which its name ends."""
    mine = f"-{worker.process.pid}"
    return str(
        wait_for(
            lambda: next((name for name in seen(engine) if name.endswith(mine)), None),
            30,
            "the worker's row",
        )
    )


def cancel(engine: Engine, job_id: str) -> None:
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")


def training(engine: Engine, job_id: str) -> bool:
    """Its trainer is at work: a short job may be past its training by the time that one looks."""
    return get_job(engine, job_id).phase in {"training", "evaluating", "exporting"}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_draining_worker_ends_its_job_and_claims_no_other_until_it_is_told_to_leave(
    engine: Engine, database_url: str, redis_url: str, s3: dict[str, Any], tmp_path: Path
) -> None:
    settings = {
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_BROKER_URL": redis_url,
        **{f"DISTILL_{name.upper()}": value for name, value in s3.items()},
    }

    def celery(name: str) -> Service:
        return Service(
            {**settings, "DISTILL_SCRATCH_FOLDER": str(tmp_path / name)},
            tmp_path / f"{name}.log",
            CELERY,
        )

    job_id = submit(engine, training_spec(schedule=SHORT))
    with celery("first") as first:
        wait_for(lambda: training(engine, job_id), 60, "the start of training")
        drained = name_of(engine, first)
        with write_session(engine) as session:
            workers.drain(session, drained)
        other_id = submit(engine, training_spec(schedule=SHORT))
        with celery("second") as second:
            wait_for(
                lambda: get_job(engine, other_id).status == "running",
                60,
                "a claim by the other worker",
            )
            assert get_job(engine, other_id).worker == name_of(engine, second) != drained
            cancel(engine, other_id)
            job = wait_for_end(engine, job_id)
            assert (job.status, job.worker, job.attempt) == ("succeeded", drained, 1)
            wait_for_end(engine, other_id)
        # It stays: a job that nobody else could take is not taken by it either, until it is undrained.
        assert (first.process.poll(), seen(engine)[drained].row.draining) == (None, True)
        left_id = submit(engine, training_spec(schedule=SHORT))
        with write_session(engine) as session:
            workers.drain(session, drained, False)
        wait_for(
            lambda: get_job(engine, left_id).status == "running", 60, "a claim by the undrained worker"
        )
        first.process.send_signal(signal.SIGUSR1)
        cancel(engine, left_id)
        assert first.wait(60) == 0, first.log.read_text()
    assert (get_job(engine, left_id).status, get_job(engine, left_id).attempt) == ("cancelled", 1)
    assert drained not in seen(engine)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_whose_database_is_migrated_under_it_ends_its_job_and_claims_no_other(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    settings = {"DISTILL_HOME": str(tmp_path / "home"), "DISTILL_DATABASE_URL": database_url}
    job_id = submit(engine, training_spec(schedule=SHORT))
    with Service(settings, tmp_path / "worker.log") as worker:
        wait_for(lambda: training(engine, job_id), 60, "the start of training")
        name = name_of(engine, worker)
        set_schema(engine, "9999")
        trouble = wait_for(lambda: seen(engine)[name].row.trouble, 30, "the worker's trouble")
        assert trouble.startswith("This database has schema 9999; this program knows up to")
        waiting_id = submit(engine, training_spec(schedule=SHORT))
        job = wait_for_end(engine, job_id)
        assert (job.status, job.attempt) == ("succeeded", 1)
        assert (get_job(engine, waiting_id).status, worker.process.poll()) == ("queued", None)
        assert trouble in worker.log.read_text()

        set_schema(engine, schema.known_revisions()[0])
        wait_for(lambda: training(engine, waiting_id), 60, "the start of training")
        worker.process.send_signal(signal.SIGUSR1)
        wait_for(
            lambda: name not in seen(engine) or seen(engine)[name].row.draining,
            30,
            "the worker's word that it drains",
        )
        left_id = submit(engine, training_spec(schedule=SHORT))
        assert worker.wait(60) == 0, worker.log.read_text()
    assert (get_job(engine, waiting_id).status, get_job(engine, waiting_id).attempt) == ("succeeded", 1)
    assert (get_job(engine, left_id).status, get_job(engine, left_id).attempt) == ("queued", 0)
    assert seen(engine) == {}
