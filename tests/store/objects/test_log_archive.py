"""Logs of ended attempts become objects, which live as long as their jobs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from core.errors import CorruptObject, Unavailable
from core.settings import Settings
from core.store import attempts, jobs
from core.store.attempts import Attempt
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow, LogChunkRow, LogRow
from core.store.objects import log_archive, references
from core.store.objects.collector import Collector
from core.store.objects.store import Objects
from core.store.objects.verification import verify
from tests.builders import create_attempt, stored_keys
from tests.worker.logs.builders import create_log, texts
from worker.logs.attempt_log import AttemptLog

LINES = ["first", "second", "attempt ended"]


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(f"file://{tmp_path / 'objects'}")


def write_log(engine: Engine) -> AttemptLog:
    """The log of an attempt that has ended."""
    log = create_log(engine)
    log.write("stdout", b"first\nsecond\n")
    log.publish()
    with log.attempt.fenced_session() as (session, job):
        attempts.succeed(session, job)
        log.complete(session, "attempt ended")
    return log


def log_row(engine: Engine) -> LogRow:
    with read_session(engine) as session:
        return session.scalars(select(LogRow)).one()


def test_log_becomes_one_object(engine: Engine, objects: Objects) -> None:
    log = write_log(engine)
    assert texts(log, objects=objects) == LINES
    assert log_archive.archive_ended(engine, objects) == 1
    assert log_archive.archive_ended(engine, objects) == 0
    assert texts(log, objects=objects) == LINES
    assert texts(log, after=2, objects=objects) == LINES[2:]
    row = log_row(engine)
    assert stored_keys(objects, "jobs") == [row.object_key]
    assert [file.key for file in references.list_files(engine)] == [row.object_key]
    assert [file for file in verify(engine, objects) if file.problem] == []
    with read_session(engine) as session:
        assert session.scalars(select(LogChunkRow)).all() == []


def test_log_of_a_running_attempt_stays(engine: Engine, objects: Objects) -> None:
    log = create_log(engine)
    log.write("stdout", b"first\n")
    log.publish()
    assert log_archive.archive_ended(engine, objects) == 0
    assert not log_archive.archive(engine, objects, log.attempt.job_id, 1)
    assert texts(log, objects=objects) == ["first"]


def test_only_the_named_jobs_are_archived(engine: Engine, objects: Objects) -> None:
    first = write_log(engine)
    write_log(engine)
    assert log_archive.archive_ended(engine, objects, ["job_none"]) == 0
    assert log_archive.archive_ended(engine, objects, [first.attempt.job_id]) == 1
    assert log_archive.archive_ended(engine, objects) == 1


def test_many_archivers_write_one_object(engine: Engine, objects: Objects) -> None:
    log = write_log(engine)
    with ThreadPoolExecutor(8) as pool:
        counts = pool.map(lambda _: log_archive.archive_ended(engine, objects), range(8))
    assert sum(counts) == 1
    assert stored_keys(objects, "jobs") == [log_row(engine).object_key]
    assert texts(log, objects=objects) == LINES


class BrokenObjects(Objects):
    """A store that takes nothing."""

    def put_stream(self, *arguments: object) -> tuple[int, str]:
        raise Unavailable("The object store does not answer.")


def test_store_that_is_away_costs_no_line(engine: Engine, objects: Objects) -> None:
    log = write_log(engine)
    with pytest.raises(Unavailable):
        log_archive.archive_ended(engine, BrokenObjects("memory:///"))
    assert texts(log, objects=objects) == LINES
    assert log_archive.archive_ended(engine, objects) == 1
    assert texts(log, objects=objects) == LINES


def test_damaged_log_is_not_shown(engine: Engine, objects: Objects, tmp_path: Path) -> None:
    log = write_log(engine)
    log_archive.archive_ended(engine, objects)
    (key,) = stored_keys(objects, "jobs")
    path = tmp_path / "objects" / key
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptObject):
        texts(log, objects=objects)
    objects.delete(key)
    with pytest.raises(CorruptObject, match="missing"):
        texts(log, objects=objects)


def test_reader_never_sees_less_while_a_log_is_archived(engine: Engine, objects: Objects) -> None:
    """Rows become an object between two of its statements."""
    log = write_log(engine)
    with ThreadPoolExecutor(1) as pool:
        archiving = pool.submit(log_archive.archive_ended, engine, objects)
        while not archiving.done():
            assert texts(log, objects=objects) == LINES
    assert archiving.result() == 1


def test_log_goes_with_its_job(engine: Engine, objects: Objects, tmp_path: Path) -> None:
    log = write_log(engine)
    log_archive.archive_ended(engine, objects)
    settings = Settings(home=tmp_path, retain_deleted_days=0, orphan_grace_hours=0)
    assert list(Collector(settings, engine, objects).collect()) == []
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, log.attempt.job_id)
        session.get_one(JobRow, log.attempt.job_id).deleted_at = 1
    size = log_row(engine).size
    removed = list(Collector(settings, engine, objects).collect())
    assert [(item.kind, item.name, item.size) for item in removed] == [
        ("job", log.attempt.job_id, size)
    ]
    assert stored_keys(objects, "jobs") == []
    with read_session(engine) as session:
        assert session.scalars(select(LogRow)).all() == []


def test_object_without_a_row_is_removed_later(
    engine: Engine, objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archiver was killed between object and row."""
    log = write_log(engine)

    def killed(*_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log_archive, "transaction", killed)
        with pytest.raises(KeyboardInterrupt):
            log_archive.archive_ended(engine, objects)
    assert len(stored_keys(objects, "jobs")) == 1
    assert texts(log, objects=objects) == LINES
    settings = Settings(home=tmp_path, orphan_grace_hours=0)
    assert [item.kind for item in Collector(settings, engine, objects).collect()] == ["object"]
    assert log_archive.archive_ended(engine, objects) == 1
    assert texts(log, objects=objects) == LINES


def test_attempt_without_a_log_has_no_lines(engine: Engine, objects: Objects) -> None:
    attempt: Attempt = create_attempt(engine)
    assert log_archive.read_lines(engine, objects, attempt.job_id, 1) == []
