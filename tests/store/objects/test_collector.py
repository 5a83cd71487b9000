"""What the collector removes, and what it leaves."""

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update

from core.settings import Settings
from core.store import jobs
from core.store.database.engine import make_engine, read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import (
    DEFAULT_PROJECT,
    DIGITS_ID,
    ArtifactRow,
    AuditRow,
    Base,
    DatasetRow,
    EventRow,
    JobLabelRow,
    JobRow,
    MetricRow,
    ModelRow,
)
from core.store.objects.collector import Collector, Removed
from core.store.objects.store import Objects, artifact_key, upload_key
from core.store.registry import datasets, models, uploaded_items
from tests.api.builders import create_finished_job
from tests.builders import (
    SHA256,
    create_teacher,
    dataset_description,
    distillation_spec,
    model_description,
    refuse_upload,
    weights_key,
)
from tests.store.objects.builders import all_keys, create_published_job, put

NO_RETENTION: dict[str, Any] = {"retain_deleted_days": 0, "orphan_grace_hours": 0}
TEN_DAYS_MS = 10 * 86_400_000
JOB_TABLES: tuple[type[EventRow] | type[ArtifactRow] | type[MetricRow] | type[JobLabelRow], ...] = (
    EventRow,
    ArtifactRow,
    MetricRow,
    JobLabelRow,
)
"""Tables whose rows belong to a job."""


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(f"file://{tmp_path / 'objects'}")


def collect(
    engine: Engine, objects: Objects, tmp_path: Path, *, dry_run: bool = False, **changes: Any
) -> list[Removed]:
    settings = Settings(home=tmp_path, **changes)
    return list(Collector(settings, engine, objects, dry_run=dry_run).collect())


def count(engine: Engine, table: type[Base]) -> int:
    with read_session(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def delete_model(engine: Engine, model_id: str) -> None:
    with write_session(engine) as session:
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, model_id)


def test_a_deleted_job_is_removed_but_not_its_student(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    job_id, student = create_published_job(engine, objects)
    other = create_finished_job(engine, objects)
    job_count = count(engine, JobRow)
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job_id)
    # While it can still be restored, it stays.
    assert collect(engine, objects, tmp_path, orphan_grace_hours=0) == []
    planned = collect(engine, objects, tmp_path, dry_run=True, **NO_RETENTION)
    assert planned == [Removed("job", job_id, 6)]
    assert count(engine, JobRow) == job_count
    assert collect(engine, objects, tmp_path, **NO_RETENTION) == planned
    with read_session(engine) as session:
        assert jobs.find(session, DEFAULT_PROJECT, other.job_id) is not None
        for table in JOB_TABLES:
            job_ids = session.scalars(select(table.job_id).where(table.job_id == job_id)).all()
            assert job_ids == [], table
    assert student.object_key is not None
    assert b"".join(objects.open(student.object_key)) == b"best"
    delete_model(engine, student.id)
    assert not any(job_id in key and "report" in key for key in all_keys(objects))
    collect(engine, objects, tmp_path, **NO_RETENTION)
    paths = [str(path) for path in (tmp_path / "objects").rglob("*")]  # empty folders, too
    assert not any(job_id in path for path in paths)
    assert {key for key in all_keys(objects) if other.job_id in key} == all_keys(objects) != set()


def test_a_removed_students_object_stays_for_its_job(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    job_id, student = create_published_job(engine, objects)
    delete_model(engine, student.id)
    removed = collect(engine, objects, tmp_path, **NO_RETENTION)
    assert [item.kind for item in removed] == ["model"]
    assert student.object_key in all_keys(objects)
    with read_session(engine) as session:
        assert jobs.get(session, DEFAULT_PROJECT, job_id).model_id == student.id


def test_inputs_of_jobs_that_have_ended_are_removed(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    teacher = create_teacher(engine)
    with transaction(engine, FencedSession) as session:
        dataset = datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        key = weights_key(dataset.id)
        size, digest = put(objects, key)
        uploaded_items.mark_ready(
            session, dataset, dataset_description(), object_key=key, size=size, sha256=digest
        )
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            distillation_spec(),
            dataset_id=dataset.id,
            teacher_id=teacher.id,
        )
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, teacher.id)
        uploaded_items.delete_item(session, DatasetRow, DEFAULT_PROJECT, dataset.id)
    removed = collect(engine, objects, tmp_path, **NO_RETENTION)
    assert {item.kind for item in removed} == {"model", "data set"}
    assert all_keys(objects) == set()
    with read_session(engine) as reader:
        row = jobs.get(reader, DEFAULT_PROJECT, job.id)
        assert (row.teacher_id, row.dataset_id) == (teacher.id, dataset.id)
        digits = uploaded_items.get(reader, DatasetRow, DEFAULT_PROJECT, DIGITS_ID)
        assert digits.name == "digits"


def create_awaiting_model(engine: Engine, name: str) -> ModelRow:
    with write_session(engine) as session:
        return models.create(
            session, DEFAULT_PROJECT, name, model_description(), status="awaiting_upload"
        )


def test_an_unreferenced_object_is_removed_after_its_grace(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    finished = create_finished_job(engine, objects)
    referenced = all_keys(objects)
    refused = create_awaiting_model(engine, "refused")
    refuse_upload(engine, refused)
    awaited_key = upload_key(create_awaiting_model(engine, "awaiting").id)
    new_key = artifact_key(finished.job_id, 1, "not-yet-referenced")
    unreferenced = {
        artifact_key(finished.job_id, 0, "stale"),
        upload_key(refused.id),
        upload_key("mdl_unknown"),
    }
    for key in (*unreferenced, awaited_key, new_key, "other/file"):
        put(objects, key)
    folder = tmp_path / "objects"
    for key in (*unreferenced, awaited_key, *referenced):
        os.utime(folder / key, (0, 0))
    old_partial = folder / "jobs" / "half#7"
    new_partial = folder / "jobs" / "half#8"
    for path in (old_partial, new_partial):
        path.write_bytes(b"half")
    os.utime(old_partial, (0, 0))
    planned = collect(engine, objects, tmp_path, dry_run=True)
    assert {item.name for item in planned} == {*unreferenced, "jobs/half#7"}
    assert collect(engine, objects, tmp_path) == planned
    assert all_keys(objects) == {*referenced, new_key, awaited_key}
    assert objects.exists("other/file")
    assert not old_partial.exists()
    assert new_partial.exists()


def test_a_bucket_is_collected_as_a_folder_is(
    sqlite_url: str, s3: dict[str, Any], tmp_path: Path
) -> None:
    engine = make_engine(sqlite_url)
    bucket = Objects.from_settings(Settings(**s3))
    create_finished_job(engine, bucket)
    referenced = all_keys(bucket)
    for number in range(60):  # more than one page of a listing
        put(bucket, artifact_key("job_gone", 1, str(number)))
    assert collect(engine, bucket, tmp_path) == []
    removed = collect(engine, bucket, tmp_path, orphan_grace_hours=0)
    assert (len(removed), {item.kind for item in removed}) == (60, {"object"})
    assert all_keys(bucket) == referenced


def test_an_abandoned_upload_is_removed_an_active_one_stays(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    names = ("abandoned", "active", "new", "importing")
    abandoned, active, _, importing = (create_awaiting_model(engine, name) for name in names)
    with write_session(engine) as session:
        uploaded_items.begin_import(session, importing, "job_1", size=1, sha256=SHA256)
        session.execute(
            update(ModelRow)
            .where(ModelRow.name != "new")
            .values(created_at=ModelRow.created_at - TEN_DAYS_MS)
        )
        uploaded_items.record_upload_progress(session, ModelRow, active.id)
    assert collect(engine, objects, tmp_path) == [Removed("model", abandoned.id)]


def test_old_audit_entries_and_unused_inputs_are_removed(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    with write_session(engine) as session:
        for number, at in enumerate((0, 1, 2**50)):
            session.add(AuditRow(id=f"aud_{number}", at=at, action="x", status=200, request_id="r"))
    cache = tmp_path / "scratch" / "cache"
    cache.mkdir(parents=True)
    for number in range(4):
        (cache / str(number)).write_bytes(b"x" * 10)
        os.utime(cache / str(number), (1000 + number, 1000 + number))
    (cache / ".half.part").write_bytes(b"x")
    os.utime(cache / ".half.part", (0, 0))
    (cache / ".new.part").write_bytes(b"x")
    removed = collect(engine, objects, tmp_path, cache_bytes=25)
    assert {(item.kind, item.name) for item in removed} == {
        ("audit lines", "2"),
        ("cached input", "0"),
        ("cached input", "1"),
        ("cached input", ".half.part"),
    }
    assert {path.name for path in cache.iterdir()} == {"2", "3", ".new.part"}
    assert count(engine, AuditRow) == 1
