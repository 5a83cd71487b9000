"""Verification reads every referenced object, and names those that are missing or wrong."""

import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.store import artifacts
from core.store.database.engine import transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects import references
from core.store.objects.store import Objects, artifact_key, upload_key
from core.store.objects.verification import verify
from core.store.registry import models, uploaded_items
from tests.api.builders import create_finished_job
from tests.builders import create_attempt, model_description
from tests.store.objects.builders import all_keys, create_published_job, put


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(f"file://{tmp_path / 'objects'}")


def store_upload(engine: Engine, objects: Objects) -> None:
    """Store the complete upload of a model that is being imported."""
    with write_session(engine) as session:
        model = models.create(
            session, DEFAULT_PROJECT, "uploaded", model_description(), status="awaiting_upload"
        )
        size, digest = put(objects, upload_key(model.id))
        uploaded_items.begin_import(session, model, "job_1", size=size, sha256=digest)


def test_missing_and_wrong_files_are_named(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    """Every referenced file is read; a student's once, though two rows name it."""
    create_published_job(engine, objects)
    finished = create_finished_job(engine, objects)
    store_upload(engine, objects)
    results = list(verify(engine, objects))
    assert sorted(result.file.key for result in results) == sorted(all_keys(objects))
    assert [result for result in results if result.problem] == []
    best = artifact_key(finished.job_id, 1, "best.safetensors")
    report = artifact_key(finished.job_id, 1, "report.json")
    page = artifact_key(finished.job_id, 1, "report.md")
    folder = tmp_path / "objects"
    flipped = bytearray((folder / best).read_bytes())
    flipped[500] ^= 1
    (folder / best).write_bytes(flipped)
    (folder / report).unlink()
    (folder / page).write_bytes(b"")
    failures = {result.file.key: result for result in verify(engine, objects) if result.problem}
    assert {key: failure.problem for key, failure in failures.items()} == {
        best: "sha256",
        report: "missing",
        page: "size",
    }
    assert (failures[page].actual, len(failures[best].actual)) == ("0", 64)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_is_verified_in_parts(engine: Engine, objects: Objects) -> None:
    """A large file is never in memory as a whole."""
    size = 100 * 2**20
    attempt = create_attempt(engine)
    key = artifact_key(attempt.job_id, 1, "large")
    size, digest = objects.put_stream(key, (b"x" * 2**20 for _ in range(100)), size)
    with transaction(engine, FencedSession) as session:
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
        assert [result.problem for result in verify(engine, objects)] == [None]
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def test_files_on_several_pages_are_each_verified_once(
    engine: Engine, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "PAGE_ROWS", 3)
    for _ in range(3):
        create_published_job(engine, objects)
    keys = [file.key for file in references.list_files(engine)]
    assert keys == sorted(all_keys(objects))
