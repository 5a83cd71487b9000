"""What a project stores, by kind: each file once, and deleted ones apart."""

import pytest
from sqlalchemy import Engine, update

from core.store import artifacts, jobs
from core.store.database.engine import transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, JobRow, ModelRow, ProjectRow
from core.store.objects import totals
from core.store.objects.totals import Total, add_up
from tests.builders import SHA256, create_attempt, create_job, create_teacher, weights_key

OTHER_PROJECT = "prj_other"


def record(engine: Engine, job: JobRow, name: str, kind: str, size: int) -> None:
    with transaction(engine, FencedSession) as session:
        artifacts.record(
            session,
            job.id,
            name=name,
            kind=kind,  # type: ignore[arg-type]
            object_key=f"jobs/{job.id}/1/artifacts/{name}",
            size=size,
            sha256=SHA256,
            attempt=1,
        )


def nonzero(engine: Engine, project_id: str = DEFAULT_PROJECT) -> dict[str, Total]:
    kinds = add_up(engine, project_id).kinds
    return {kind: total for kind, total in kinds.items() if total.files}


def test_files_are_counted_by_kind(engine: Engine) -> None:
    job = create_job(engine)
    record(engine, job, "best.safetensors", "weights", 100)
    record(engine, job, "last.safetensors", "weights", 50)
    record(engine, job, "checkpoint-1", "checkpoint", 300)
    create_teacher(engine)  # of 1 byte
    assert nonzero(engine) == {
        "weights": Total(2, 150),
        "checkpoint": Total(1, 300),
        "model": Total(1, 1),
    }
    assert add_up(engine, DEFAULT_PROJECT).total == Total(4, 451)


def test_an_empty_project_has_every_kind(engine: Engine) -> None:
    assert add_up(engine, DEFAULT_PROJECT).kinds == dict.fromkeys(totals.KINDS, Total())


def test_weights_of_a_student_count_once(engine: Engine) -> None:
    """Its model and its job's file are the same object."""
    job = create_job(engine)
    record(engine, job, "best.safetensors", "weights", 100)
    model = create_teacher(engine)
    key = f"jobs/{job.id}/1/artifacts/best.safetensors"
    with write_session(engine) as session:
        session.execute(update(ModelRow).values(object_key=key, size=100))
    assert nonzero(engine) == {"weights": Total(1, 100)}
    with write_session(engine) as session:
        session.execute(update(ModelRow).values(object_key=weights_key(model.id)))
    assert nonzero(engine) == {"weights": Total(1, 100), "model": Total(1, 100)}


def test_deleted_jobs_are_counted_apart(engine: Engine) -> None:
    job = create_job(engine)
    record(engine, job, "best.safetensors", "weights", 100)
    with create_attempt(engine, job).fenced_session() as (session, running):
        running.status = "succeeded"
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job.id)
    storage = add_up(engine, DEFAULT_PROJECT)
    assert nonzero(engine) == {}
    assert (storage.deleted, storage.total) == (Total(1, 100), Total(1, 100))


def test_an_upload_is_no_model_yet(engine: Engine) -> None:
    create_teacher(engine)
    with write_session(engine) as session:
        session.execute(update(ModelRow).values(status="importing", object_key=None))
    assert nonzero(engine) == {"upload": Total(1, 1)}


def test_other_projects_do_not_count(engine: Engine) -> None:
    with write_session(engine) as session:
        session.add(ProjectRow(id=OTHER_PROJECT, name="other"))
    record(engine, create_job(engine, OTHER_PROJECT), "best.safetensors", "weights", 100)
    assert nonzero(engine) == {}
    assert nonzero(engine, OTHER_PROJECT) == {"weights": Total(1, 100)}


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_miss_and_repeat_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    for _ in range(3):
        record(engine, create_job(engine), "best.safetensors", "weights", 7)
    monkeypatch.setattr(totals, "CHUNK_ROWS", chunk)
    assert nonzero(engine) == {"weights": Total(3, 21)}
