"""Which files a worker caches for other jobs, and which checkpoints it keeps of one."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from core.atomic_files import sha256_of
from core.errors import CorruptObject, JobFailed
from core.job_folder import JobFolder
from core.settings import Settings
from core.store import artifacts, jobs
from core.store.attempts import Attempt
from core.store.database.clock import database_now
from core.store.database.engine import make_engine, read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, ModelRow
from core.store.objects import cache
from core.store.objects.store import Objects
from core.store.registry import models
from tests.builders import (
    create_attempt,
    distillation_spec,
    model_description,
    stored_keys,
    weights_key,
)
from worker.inputs import Inputs
from worker.supervisor import AttemptRunner, Supervisor

WEIGHTS = b"weights" * 1000


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=sqlite_url)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings.resolved_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def objects(settings: Settings) -> Objects:
    return Objects.from_settings(settings)


@pytest.fixture
def teacher(engine: Engine, objects: Objects) -> ModelRow:
    with transaction(engine, FencedSession) as session:
        row = models.create(session, DEFAULT_PROJECT, "teacher", model_description())
        size, digest = objects.put_stream(weights_key(row.id), [WEIGHTS], len(WEIGHTS))
        return models.mark_ready(
            session,
            row,
            model_description(),
            object_key=weights_key(row.id),
            size=size,
            sha256=digest,
            parameters=1,
        )


def create_distillation(engine: Engine, teacher: ModelRow) -> Attempt:
    with write_session(engine) as session:
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            distillation_spec(),
            dataset_id=DIGITS_ID,
            teacher_id=teacher.id,
        )
    return create_attempt(engine, job)


def prepared_weights(settings: Settings, objects: Objects, attempt: Attempt) -> bytes:
    """Prepare the attempt's job folder; return the teacher's weights in it."""
    folder = JobFolder(settings.resolved_scratch_folder / "jobs" / attempt.job_id)
    Inputs(settings, objects, attempt, folder, lambda: None).prepare()
    return folder.teacher_weights.read_bytes()


def test_an_input_is_fetched_once_per_machine(
    settings: Settings, engine: Engine, objects: Objects, teacher: ModelRow
) -> None:
    """And each further use renews the file's time, by which the collector evicts."""
    attempt = create_distillation(engine, teacher)
    assert prepared_weights(settings, objects, attempt) == WEIGHTS
    (cached,) = cache.folder(settings).iterdir()
    assert cached.name == teacher.sha256 == sha256_of(cached)
    os.utime(cached, (0, 0))
    objects.delete(weights_key(teacher.id))
    attempt = create_distillation(engine, teacher)
    assert prepared_weights(settings, objects, attempt) == WEIGHTS
    assert cached.stat().st_mtime > 1e9


def test_a_missing_or_damaged_cached_input_is_fetched_again(
    settings: Settings, engine: Engine, objects: Objects, teacher: ModelRow
) -> None:
    prepared_weights(settings, objects, create_distillation(engine, teacher))
    (cached,) = cache.folder(settings).iterdir()
    cached.unlink()
    attempt = create_distillation(engine, teacher)
    assert prepared_weights(settings, objects, attempt) == WEIGHTS
    cached.unlink()
    cached.write_bytes(WEIGHTS[:-1] + b"?")
    attempt = create_distillation(engine, teacher)
    assert prepared_weights(settings, objects, attempt) == WEIGHTS
    assert sha256_of(cached) == teacher.sha256
    cached.write_bytes(b"")
    objects.delete(weights_key(teacher.id))
    with pytest.raises((CorruptObject, JobFailed), match="gone"):
        prepared_weights(settings, objects, create_distillation(engine, teacher))


def test_a_job_with_a_deleted_teacher_is_a_users_failure(
    settings: Settings, engine: Engine, objects: Objects, teacher: ModelRow
) -> None:
    """Such as a job that had ended, and is retried."""
    attempt = create_distillation(engine, teacher)
    with write_session(engine) as session:
        session.execute(update(ModelRow).values(deleted_at=database_now()))
    with pytest.raises(JobFailed, match="There is no model") as caught:
        prepared_weights(settings, objects, attempt)
    assert (caught.value.code, caught.value.failure_class) == ("missing_input", "user")


@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_checkpoints_are_kept_as_configured(
    settings: Settings, engine: Engine, objects: Objects, keep: int
) -> None:
    """Those of the highest steps."""
    supervisor = Supervisor(
        settings.model_copy(update={"keep_checkpoints": keep}), engine, objects, threading.Event()
    )
    runner = AttemptRunner(supervisor, create_attempt(engine))
    folder = runner.folder
    folder.output.mkdir(parents=True)
    for step in range(1, 6):
        folder.save_file(f"checkpoint-{step}.safetensors", b"x" * step, "checkpoint", step=step)
        runner.outputs.publish_new_events()
    with read_session(engine) as session:
        rows = artifacts.list_checkpoints(session, runner.attempt.job_id)
    assert [row.step for row in rows] == [5, 4, 3][:keep]
    assert stored_keys(objects, "jobs") == sorted(row.object_key for row in rows)
