"""The log of a real job: real worker, real trainer."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from core.settings import Settings
from core.store.database.engine import read_session
from core.store.database.tables import AttemptRow, LogChunkRow, LogRow
from core.store.objects import log_archive
from core.store.objects.store import Objects
from tests.worker.results import endless_job, latest_checkpoint_step, short_job
from tests.worker.service import Service, submit, wait_for, wait_for_end

EPOCH = re.compile(r"epoch (\d+)  step \d+  loss \d\.\d{4}  held-out clean [\d.]+  robust [\d.]+")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[Service]:
    with start(settings, tmp_path, "worker-1") as service:
        yield service


def start(settings: Settings, folder: Path, name: str) -> Service:
    environment = {
        "DISTILL_HOME": str(settings.home),
        "DISTILL_DATABASE_URL": settings.database_url,
        "DISTILL_WORKER_NAME": name,
    }
    return Service(environment, folder / f"{name}.log")


def outcomes(engine: Engine, job_id: str) -> list[tuple[Any, ...]]:
    with read_session(engine) as session:
        statement = select(AttemptRow.number, AttemptRow.worker, AttemptRow.outcome)
        rows = session.execute(
            statement.where(AttemptRow.job_id == job_id).order_by(AttemptRow.number)
        )
        return [tuple(row) for row in rows]


def lines(engine: Engine, settings: Settings, job_id: str, attempt: int = 1) -> list[str]:
    objects = Objects.from_settings(settings)
    return [line.text for line in log_archive.read_lines(engine, objects, job_id, attempt)]


def is_archived(engine: Engine, job_id: str) -> bool:
    with read_session(engine) as session:
        keys = session.scalars(select(LogRow.object_key).where(LogRow.job_id == job_id)).all()
        chunks = session.scalars(select(LogChunkRow.seq)).all()
    return bool(keys) and None not in keys and not chunks


def test_log_tells_what_happened_and_becomes_an_object(
    engine: Engine, settings: Settings, worker: Service
) -> None:
    job_id = submit(engine, short_job(3))
    wait_for_end(engine, job_id)
    assert outcomes(engine, job_id) == [(1, "worker-1", "succeeded")]
    wait_for(lambda: is_archived(engine, job_id), 60, "the archived log")
    log = lines(engine, settings, job_id)
    assert log[0] == "attempt started"
    assert log[-1] == "attempt ended; the job is succeeded"
    assert [match[1] for line in log if (match := EPOCH.fullmatch(line))] == ["1", "2", "3"]
    phases = ["preparing", "training", "evaluating", "exporting"]
    assert [line for line in log if line in phases] == phases
    assert any(re.fullmatch(r"best  PGD-2, L∞, 0\.1  \d+\.\d\d %", line) for line in log)
    assert any(line.startswith("weights best.safetensors  ") for line in log)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_log_of_a_lost_attempt_keeps_what_was_published(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    job_id = submit(engine, endless_job())
    with start(settings, tmp_path, "worker-1") as worker:
        wait_for(lambda: latest_checkpoint_step(engine, job_id), 120, "a checkpoint")
        wait_for(
            lambda: any(map(EPOCH.fullmatch, lines(engine, settings, job_id))),
            60,
            "a published epoch",
        )
        published = lines(engine, settings, job_id)
        worker.process.kill()
        worker.process.wait()
    with start(settings, tmp_path, "worker-2") as successor:
        wait_for(
            lambda: any("goes on from" in line for line in lines(engine, settings, job_id, 2)),
            240,
            "the second attempt",
        )
        assert outcomes(engine, job_id) == [(1, "worker-1", "lost"), (2, "worker-2", None)]
        log = lines(engine, settings, job_id)
        assert log[: len(published)] == published
        wait_for(lambda: archived_attempts(engine, job_id) == [1], 60, "the archived log")
        assert lines(engine, settings, job_id) == log
        successor.send(signal.SIGTERM)
        successor.wait(60)
    assert outcomes(engine, job_id)[1] == (2, "worker-2", "released"), "by its shutdown"
    assert lines(engine, settings, job_id, 2)[-1] == "attempt ended; the job is queued"


def archived_attempts(engine: Engine, job_id: str) -> list[int]:
    statement = select(LogRow.attempt).where(LogRow.job_id == job_id)
    with read_session(engine) as session:
        return list(session.scalars(statement.where(LogRow.object_key.is_not(None))))
