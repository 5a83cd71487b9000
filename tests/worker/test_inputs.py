"""What a worker keeps: inputs that other jobs need, too, and the furthest checkpoints."""

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
from core.store import artifacts, jobs, models
from core.store.attempts import Attempt
from core.store.database.clock import database_now
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, ModelRow
from core.store.objects import cache
from core.store.objects.store import Objects, model_key
from tests.builders import an_attempt, distillation_spec, model_description
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
    with write_session(engine) as session:
        row = models.create(session, DEFAULT_PROJECT, "teacher", model_description())
        size, digest = objects.put_stream(model_key(row.id), [WEIGHTS], len(WEIGHTS))
        return models.mark_ready(
            session,
            row,
            model_description(),
            object_key=model_key(row.id),
            size=size,
            sha256=digest,
            parameters=1,
        )


def an_attempt_with(engine: Engine, teacher: ModelRow) -> Attempt:
    with write_session(engine) as session:
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            distillation_spec(),
            dataset_id=DIGITS_ID,
            teacher_id=teacher.id,
        )
    return an_attempt(engine, job)


def laid_out(settings: Settings, objects: Objects, attempt: Attempt) -> bytes:
    """The teacher's weights in the attempt's folder."""
    folder = JobFolder(settings.resolved_scratch_folder / "jobs" / attempt.job_id)
    Inputs(settings, objects, attempt, folder, lambda: None).prepare()
    return folder.teacher_weights.read_bytes()


def test_an_input_is_fetched_once_a_machine_and_its_last_use_is_noted(
    settings: Settings, engine: Engine, objects: Objects, teacher: ModelRow
) -> None:
    assert laid_out(settings, objects, an_attempt_with(engine, teacher)) == WEIGHTS
    (kept,) = cache.folder(settings).iterdir()
    assert kept.name == teacher.sha256 == sha256_of(kept)
    os.utime(kept, (0, 0))
    objects.delete(model_key(teacher.id))
    assert laid_out(settings, objects, an_attempt_with(engine, teacher)) == WEIGHTS
    assert kept.stat().st_mtime > 1e9


def test_a_kept_input_that_was_removed_or_damaged_is_fetched_again(
    settings: Settings, engine: Engine, objects: Objects, teacher: ModelRow
) -> None:
    laid_out(settings, objects, an_attempt_with(engine, teacher))
    (kept,) = cache.folder(settings).iterdir()
    kept.unlink()
    assert laid_out(settings, objects, an_attempt_with(engine, teacher)) == WEIGHTS
    kept.unlink()
    kept.write_bytes(WEIGHTS[:-1] + b"?")
    assert laid_out(settings, objects, an_attempt_with(engine, teacher)) == WEIGHTS
    assert sha256_of(kept) == teacher.sha256
    kept.write_bytes(b"")
    objects.delete(model_key(teacher.id))
    with pytest.raises((CorruptObject, JobFailed), match="gone"):
        laid_out(settings, objects, an_attempt_with(engine, teacher))


def test_a_job_whose_teacher_was_deleted_fails_by_its_callers_fault(
    settings: Settings, engine: Engine, objects: Objects, teacher: ModelRow
) -> None:
    """Such as one that had ended, and is taken up again."""
    attempt = an_attempt_with(engine, teacher)
    with write_session(engine) as session:
        session.execute(update(ModelRow).values(deleted_at=database_now()))
    with pytest.raises(JobFailed, match="There is no model") as caught:
        laid_out(settings, objects, attempt)
    assert (caught.value.code, caught.value.failure_class) == ("missing_input", "user")


@pytest.mark.parametrize("keep", [1, 3])
def test_the_furthest_checkpoints_are_kept_so_many_as_the_operator_says(
    settings: Settings, engine: Engine, objects: Objects, keep: int
) -> None:
    setup = settings.model_copy(update={"keep_checkpoints": keep})
    under_way = AttemptRunner(
        Supervisor(setup, engine, objects, threading.Event()), an_attempt(engine)
    )
    folder = under_way.folder
    folder.output.mkdir(parents=True)
    for step in range(1, 6):
        folder.save_file(f"checkpoint-{step}.safetensors", b"x" * step, "checkpoint", step=step)
        under_way.outputs.publish_new_events()
    with read_session(engine) as session:
        kept = artifacts.list_checkpoints(session, under_way.attempt.job_id)
    assert [artifact.step for artifact in kept] == [5, 4, 3][:keep]
    assert sorted(objects.list_keys("jobs")) == sorted(artifact.object_key for artifact in kept)
