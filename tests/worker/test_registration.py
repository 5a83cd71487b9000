"""A worker that drains, or whose database is migrated while it runs, ends its job, claims no other.

The workers are real processes.
"""

import signal
from collections.abc import Callable
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


def list_workers(engine: Engine) -> dict[str, WorkerState]:
    """Return the registered workers by name."""
    with read_session(engine) as session:
        return {worker.row.name: worker for worker in workers.list_workers(session)}


def wait_for_name(engine: Engine, worker: Service) -> str:
    """Return the worker's name, which ends with its process id, once it is registered."""
    suffix = f"-{worker.process.pid}"
    return str(
        wait_for(
            lambda: next((name for name in list_workers(engine) if name.endswith(suffix)), None),
            30,
            "the worker's row",
        )
    )


def cancel(engine: Engine, job_id: str) -> None:
    with write_session(engine) as session:
        jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")


def is_past_preparation(engine: Engine, job_id: str) -> bool:
    """Return whether its trainer is at work; a short job may be past its training already."""
    return get_job(engine, job_id).phase in {"training", "evaluating", "exporting"}


@pytest.fixture
def start_celery(
    database_url: str, redis_url: str, s3: dict[str, Any], tmp_path: Path
) -> Callable[[str], Service]:
    """Return a function that starts a Celery worker with a scratch folder of its own."""
    settings = {
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_BROKER_URL": redis_url,
        **{f"DISTILL_{name.upper()}": value for name, value in s3.items()},
    }

    def start(name: str) -> Service:
        return Service(
            {**settings, "DISTILL_SCRATCH_FOLDER": str(tmp_path / name)},
            tmp_path / f"{name}.log",
            CELERY,
        )

    return start


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_draining_worker_ends_its_job_and_claims_no_other(
    engine: Engine, start_celery: Callable[[str], Service]
) -> None:
    """It claims jobs again when it is undrained, and exits on SIGUSR1 when its job has ended."""
    job_id = submit(engine, training_spec(schedule=SHORT))
    with start_celery("first") as first:
        wait_for(lambda: is_past_preparation(engine, job_id), 60, "the start of training")
        drained = wait_for_name(engine, first)
        with write_session(engine) as session:
            workers.set_draining(session, drained)
        other_id = submit(engine, training_spec(schedule=SHORT))
        with start_celery("second") as second:
            wait_for(
                lambda: get_job(engine, other_id).status == "running",
                60,
                "a claim by the other worker",
            )
            assert get_job(engine, other_id).worker == wait_for_name(engine, second) != drained
            cancel(engine, other_id)
            job = wait_for_end(engine, job_id)
            assert (job.status, job.worker, job.attempt) == ("succeeded", drained, 1)
            wait_for_end(engine, other_id)
        # It stays registered, and claims nothing although there is no other worker.
        assert (first.process.poll(), list_workers(engine)[drained].row.draining) == (None, True)
        last_id = submit(engine, training_spec(schedule=SHORT))
        with write_session(engine) as session:
            workers.set_draining(session, drained, False)
        wait_for(lambda: get_job(engine, last_id).status == "running", 60, "a claim once undrained")
        first.process.send_signal(signal.SIGUSR1)
        cancel(engine, last_id)
        assert first.wait(60) == 0, first.log.read_text()
    assert (get_job(engine, last_id).status, get_job(engine, last_id).attempt) == ("cancelled", 1)
    assert drained not in list_workers(engine)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_claims_nothing_from_a_newer_schema(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    """Its running job ends as usual. It claims jobs again once the schema is its own."""
    settings = {"DISTILL_HOME": str(tmp_path / "home"), "DISTILL_DATABASE_URL": database_url}
    job_id = submit(engine, training_spec(schedule=SHORT))
    with Service(settings, tmp_path / "worker.log") as worker:
        wait_for(lambda: is_past_preparation(engine, job_id), 60, "the start of training")
        name = wait_for_name(engine, worker)
        set_schema(engine, "9999")
        trouble = wait_for(
            lambda: list_workers(engine)[name].row.trouble, 30, "the worker's trouble"
        )
        assert trouble.startswith("This database has schema 9999; this program knows up to")
        waiting_id = submit(engine, training_spec(schedule=SHORT))
        job = wait_for_end(engine, job_id)
        assert (job.status, job.attempt) == ("succeeded", 1)
        assert (get_job(engine, waiting_id).status, worker.process.poll()) == ("queued", None)
        assert trouble in worker.log.read_text()

        set_schema(engine, schema.known_revisions()[0])
        wait_for(lambda: is_past_preparation(engine, waiting_id), 60, "the start of training")
        worker.process.send_signal(signal.SIGUSR1)
        wait_for(
            lambda: name not in list_workers(engine) or list_workers(engine)[name].row.draining,
            30,
            "a heartbeat that says that the worker drains",
        )
        last_id = submit(engine, training_spec(schedule=SHORT))
        assert worker.wait(60) == 0, worker.log.read_text()
    waiting_job = get_job(engine, waiting_id)
    assert (waiting_job.status, waiting_job.attempt) == ("succeeded", 1)
    assert (get_job(engine, last_id).status, get_job(engine, last_id).attempt) == ("queued", 0)
    assert list_workers(engine) == {}
