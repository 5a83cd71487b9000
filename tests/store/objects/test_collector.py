"""What the collector takes, and what it leaves."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update

from core.settings import Settings
from core.store import artifacts, attempts, datasets, jobs, metrics, models, uploaded_items
from core.store.database.engine import make_engine, read_session, write_session
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
from core.store.objects import references
from core.store.objects.collector import Collector, Removed
from core.store.objects.store import Objects, artifact_key, upload_key
from core.store.objects.verification import Verified, verify
from tests.api.builders import a_finished_job, an_artifact
from tests.builders import (
    SHA256,
    create_job,
    create_teacher,
    create_attempt,
    dataset_description,
    distillation_spec,
    model_description,
)

AT_ONCE: dict[str, Any] = {"retain_deleted_days": 0, "orphan_grace_hours": 0}
OLD = 10 * 86_400_000


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(f"file://{tmp_path / 'objects'}")


def collect(
    engine: Engine, objects: Objects, tmp_path: Path, *, dry_run: bool = False, **changes: Any
) -> list[Removed]:
    settings = Settings(home=tmp_path, **changes)
    return list(Collector(settings, engine, objects, dry_run=dry_run).collect())


def a_file(objects: Objects, key: str, data: bytes = b"bytes") -> tuple[int, str]:
    return objects.put_stream(key, [data], len(data))


def keys(objects: Objects) -> set[str]:
    return {
        key
        for folder in ("jobs", "models", "datasets", "uploads")
        for key in objects.list_keys(folder)
    }


def count(engine: Engine, table: type[Base]) -> int:
    with read_session(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def a_published_job(engine: Engine, objects: Objects) -> tuple[str, ModelRow]:
    """A finished job whose student is its own file best.safetensors."""
    attempt = create_attempt(engine, create_job(engine, metadata={"a": "b"}))
    best = an_artifact(engine, objects, attempt, "best.safetensors", b"best")
    an_artifact(engine, objects, attempt, "report.json", b"{}", "report")
    with attempt.fenced_session() as (session, job):
        metrics.record(session, job.id, attempt.number, 1, {"loss": 1.0})
        facts = {"object_key": best.object_key, "size": best.size, "sha256": best.sha256}
        student = models.publish(session, job, model_description(), **facts)  # type: ignore[arg-type]
        attempts.succeed(session, job, {}, student.id)
    return attempt.job_id, student


def test_a_deleted_job_goes_with_all_that_hangs_on_it_but_its_student_stays(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    job_id, student = a_published_job(engine, objects)
    kept = a_finished_job(engine, objects)
    before = {
        table: count(engine, table)
        for table in (JobRow, EventRow, ArtifactRow, MetricRow, JobLabelRow)
    }
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job_id)
    assert (
        collect(engine, objects, tmp_path, orphan_grace_hours=0) == []
    )  # it can still be restored
    would = collect(engine, objects, tmp_path, dry_run=True, **AT_ONCE)
    assert (would, count(engine, JobRow)) == ([Removed("job", job_id, 6)], before[JobRow])
    assert collect(engine, objects, tmp_path, **AT_ONCE) == would
    with write_session(engine) as session:
        assert jobs.find(session, DEFAULT_PROJECT, kept.job_id) is not None
        for table in (EventRow, ArtifactRow, MetricRow, JobLabelRow):
            assert (
                session.scalars(select(table.job_id).where(table.job_id == job_id)).all() == []
            ), table
        assert student.object_key is not None
        assert b"".join(objects.open(student.object_key)) == b"best"
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, student.id)
    assert not any(job_id in key and "report" in key for key in keys(objects))
    collect(engine, objects, tmp_path, **AT_ONCE)
    assert not any(
        job_id in str(path) for path in (tmp_path / "objects").rglob("*")
    )  # not even an empty folder
    assert {key for key in keys(objects) if kept.job_id in key} == keys(objects) != set()


def test_a_students_object_stays_for_its_job_when_the_student_goes_first(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    job_id, student = a_published_job(engine, objects)
    with write_session(engine) as session:
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, student.id)
    assert [removed.kind for removed in collect(engine, objects, tmp_path, **AT_ONCE)] == ["model"]
    assert student.object_key in keys(objects)
    with read_session(engine) as session:
        assert jobs.get(session, DEFAULT_PROJECT, job_id).model_id == student.id


def test_a_teacher_and_a_data_set_go_although_jobs_that_have_ended_used_them(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    teacher = create_teacher(engine)
    with write_session(engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, "mine", "upload")
        size, digest = a_file(objects, f"datasets/{row.id}/data")
        uploaded_items.mark_ready(
            session,
            row,
            dataset_description(),
            object_key=f"datasets/{row.id}/data",
            size=size,
            sha256=digest,
        )
        job = jobs.submit(
            session, DEFAULT_PROJECT, distillation_spec(), dataset_id=row.id, teacher_id=teacher.id
        )
        jobs.apply_action(session, DEFAULT_PROJECT, job.id, "cancel")
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, teacher.id)
        uploaded_items.delete_item(session, DatasetRow, DEFAULT_PROJECT, row.id)
    assert {removed.kind for removed in collect(engine, objects, tmp_path, **AT_ONCE)} == {
        "model",
        "data set",
    }
    assert keys(objects) == set()
    with read_session(engine) as session:
        found = jobs.get(session, DEFAULT_PROJECT, job.id)
        assert (found.teacher_id, found.dataset_id) == (teacher.id, row.id)
        assert uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, DIGITS_ID).name == "digits"


def test_an_object_that_no_row_names_goes_after_its_grace_and_no_sooner(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    finished = a_finished_job(engine, objects)
    named = keys(objects)
    orphan, young = (
        artifact_key(finished.job_id, 0, "stale"),
        artifact_key(finished.job_id, 1, "not-yet-named"),
    )
    with write_session(engine) as session:
        refused = models.create(session, DEFAULT_PROJECT, "refused", model_description())
        models.mark_refused(session, refused, {"code": "unsafe_checkpoint", "detail": "."})
        awaiting = models.create(
            session, DEFAULT_PROJECT, "awaiting", model_description(), status="awaiting_upload"
        )
    old = [
        orphan,
        upload_key(refused.id),
        upload_key("mdl_unknown"),
        upload_key(awaiting.id),
        *named,
    ]
    for key in (
        orphan,
        upload_key(refused.id),
        upload_key("mdl_unknown"),
        upload_key(awaiting.id),
        young,
        "other/file",
    ):
        a_file(objects, key)
    for key in old:
        os.utime(tmp_path / "objects" / key, (0, 0))
    killed = tmp_path / "objects" / "jobs" / "half#7"
    for path in (killed, killed.with_name("half#8")):
        path.write_bytes(b"half")
    os.utime(killed, (0, 0))
    would = collect(engine, objects, tmp_path, dry_run=True)
    assert {removed.name for removed in would} == {
        orphan,
        upload_key(refused.id),
        upload_key("mdl_unknown"),
        "jobs/half#7",
    }
    assert collect(engine, objects, tmp_path) == would
    assert keys(objects) == {*named, young, upload_key(awaiting.id)}
    assert (objects.exists("other/file"), killed.exists(), killed.with_name("half#8").exists()) == (
        True,
        False,
        True,
    )


def test_a_bucket_is_collected_as_a_folder_is(
    sqlite_url: str, s3: dict[str, Any], tmp_path: Path
) -> None:
    engine, bucket = make_engine(sqlite_url), Objects.from_settings(Settings(**s3))
    a_finished_job(engine, bucket)
    named = keys(bucket)
    for number in range(60):  # more than one page of a listing
        a_file(bucket, artifact_key("job_gone", 1, str(number)))
    assert collect(engine, bucket, tmp_path) == []
    removed = collect(engine, bucket, tmp_path, orphan_grace_hours=0)
    assert (len(removed), {it.kind for it in removed}) == (60, {"object"})
    assert keys(bucket) == named


def test_an_upload_that_never_came_goes_and_one_that_moves_stays(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    with write_session(engine) as session:
        made = [
            models.create(
                session, DEFAULT_PROJECT, name, model_description(), status="awaiting_upload"
            )
            for name in ("abandoned", "moving", "new", "importing")
        ]
        uploaded_items.begin_import(session, made[3], "job_1", size=1, sha256=SHA256)
        session.execute(
            update(ModelRow)
            .where(ModelRow.name != "new")
            .values(created_at=ModelRow.created_at - OLD)
        )
        uploaded_items.record_upload_progress(session, ModelRow, made[1].id)
    assert collect(engine, objects, tmp_path) == [Removed("model", made[0].id)]


def test_old_audit_lines_and_inputs_not_used_for_long_go(
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
    assert {(it.kind, it.name) for it in removed} == {
        ("audit lines", "2"),
        ("cached input", "0"),
        ("cached input", "1"),
        ("cached input", ".half.part"),
    }
    assert {path.name for path in cache.iterdir()} == {"2", "3", ".new.part"}
    assert count(engine, AuditRow) == 1


# -- verifying


def test_every_named_file_is_read_again_and_what_is_wrong_is_named(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    a_published_job(engine, objects)
    finished = a_finished_job(engine, objects)
    with write_session(engine) as session:
        sent = models.create(
            session, DEFAULT_PROJECT, "sent", model_description(), status="awaiting_upload"
        )
        size, digest = a_file(objects, upload_key(sent.id))
        uploaded_items.begin_import(session, sent, "job_1", size=size, sha256=digest)
    found = list(verify(engine, objects))
    assert sorted(it.file.key for it in found) == sorted(
        keys(objects)
    )  # a student's once, though two rows name it
    assert [it for it in found if it.problem] == []
    best, report, page = (
        artifact_key(finished.job_id, 1, f"{name}")
        for name in ("best.safetensors", "report.json", "report.md")
    )
    folder = tmp_path / "objects"
    flipped = bytearray((folder / best).read_bytes())
    flipped[500] ^= 1
    (folder / best).write_bytes(flipped)
    (folder / report).unlink()
    (folder / page).write_bytes(b"")
    wrong: dict[str, Verified] = {it.file.key: it for it in verify(engine, objects) if it.problem}
    assert {key: it.problem for key, it in wrong.items()} == {
        best: "sha256",
        report: "missing",
        page: "size",
    }
    assert (wrong[page].actual, len(wrong[best].actual)) == ("0", 64)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_is_never_whole_in_memory_while_it_is_verified(
    engine: Engine, objects: Objects
) -> None:
    size = 100 * 2**20
    attempt = create_attempt(engine)
    key = artifact_key(attempt.job_id, 1, "large")
    size, digest = objects.put_stream(key, (b"x" * 2**20 for _ in range(100)), size)
    with write_session(engine) as session:
        artifacts.record(
            session,
            attempt.job_id,
            name="large",
            kind="weights",
            object_key=key,
            size=size,
            sha256=digest,
            attempt=1,
        )
    tracemalloc.start()
    try:
        assert [it.problem for it in verify(engine, objects)] == [None]
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def test_more_files_than_a_page_are_each_verified_once(
    engine: Engine, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "PAGE_ROWS", 3)
    for _ in range(3):
        a_published_job(engine, objects)
    assert [file.key for file in references.list_files(engine)] == sorted(keys(objects))


# -- the command


@pytest.fixture
def home(sqlite_url: str, tmp_path: Path) -> Path:
    """The folder of an embedded service with one finished job, and one that was deleted."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "distill.db").rename(home / "distill.db")
    engine, objects = make_engine(f"sqlite:///{home}/distill.db"), Objects(f"file://{home}/objects")
    a_finished_job(engine, objects)
    deleted = a_finished_job(engine, objects)
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, deleted.job_id)
    engine.dispose()
    return home


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DISTILL_RETAIN_DELETED_DAYS": "0"}
    command = (sys.executable, "-m", *command)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


def test_the_command_collects_and_verifies_a_folder(home: Path) -> None:
    data = ("--data", str(home))
    would = run("distill_client.main", "storage", "gc", "--dry-run", *data)
    assert (would.returncode, would.stdout.count("\n"), would.stdout[:5]) == (0, 1, "job  "), (
        would.stderr
    )
    removed = run("core.store.commands.storage", "gc", "--json", *data)
    assert [it["kind"] for it in json.loads(removed.stdout)] == ["job"]
    next((home / "objects").rglob("report.json")).write_text("{}")
    broken = run("core.store.commands.storage", "verify", *data)
    assert broken.returncode == 1
    first, last = broken.stdout.splitlines()
    assert (
        first.split()[1],
        last.startswith("4 files of "),
        last.endswith("; 1 missing or wrong"),
    ) == ("size", True, True)


def test_no_database_is_a_sentence_and_none_is_made(tmp_path: Path) -> None:
    found = run("core.store.commands.storage", "gc", "--data", str(tmp_path / "nothing"))
    assert (found.returncode, found.stderr) == (
        2,
        f"There is no database at {tmp_path}/nothing/distill.db.\n",
    )
    assert not (tmp_path / "nothing").exists()
