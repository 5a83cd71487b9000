"""The collector killed, doubled, and beside an upload: what a row names is always there."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from core.settings import Settings
from core.store import jobs, keys, models, uploaded_items
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow, ModelRow
from core.store.objects import references
from core.store.objects.collector import Collector
from core.store.objects.store import FOLDERS, Objects, artifact_key, upload_key
from core.store.objects.verification import verify
from tests.api.builders import SAFETENSORS, create_finished_job
from tests.api.conftest import KEY, Service
from tests.builders import model_description, stored_keys
from tests.servers import S3
from tests.worker.service import Service as Worker
from tests.worker.service import wait_for

AT_ONCE = {"DISTILL_RETAIN_DELETED_DAYS": "0", "DISTILL_ORPHAN_GRACE_HOURS": "0"}
OLD = 10 * 86_400_000


@pytest.fixture
def settings(postgres_url: str, tmp_path: Path) -> dict[str, Any]:
    """Of processes on Postgres and a folder."""
    return {"home": str(tmp_path), "database_url": postgres_url}


@pytest.fixture
def engine(settings: dict[str, Any]) -> Iterator[Engine]:
    engine = make_engine(settings["database_url"])
    yield engine
    engine.dispose()


@pytest.fixture
def objects(settings: dict[str, Any]) -> Objects:
    return Objects.from_settings(Settings(**settings))


def environment(settings: dict[str, Any]) -> dict[str, str]:
    return {f"DISTILL_{name.upper()}": str(value) for name, value in settings.items()}


def start(settings: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "core.store.commands.storage", "gc", "--json"]
    return subprocess.Popen(
        command,
        env={**os.environ, **AT_ONCE, **environment(settings)},
        stdout=subprocess.PIPE,
        text=True,
    )


def result(collector: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = collector.communicate(timeout=60)
    assert collector.returncode == 0
    found: list[dict[str, Any]] = json.loads(output)
    return found


def a_deleted_job(engine: Engine, objects: Objects) -> str:
    job_id = create_finished_job(engine, objects).job_id
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job_id)
    return job_id


def stored(objects: Objects) -> set[str]:
    return {key for folder in FOLDERS for key in stored_keys(objects, folder)}


def assert_every_named_file_is_there_and_nothing_else(engine: Engine, objects: Objects) -> None:
    assert [it for it in verify(engine, objects) if it.problem] == []
    assert {file.key for file in references.list_files(engine)} == stored(objects)


def test_killed_between_commit_and_deletion_it_leaves_an_orphan_and_the_next_one_takes_it(
    engine: Engine, settings: dict[str, Any], s3: dict[str, Any], s3_server: S3
) -> None:
    settings |= s3
    objects = Objects.from_settings(Settings(**settings))
    kept = create_finished_job(engine, objects).job_id
    deleted = a_deleted_job(engine, objects)
    s3_server.freeze()  # so that it is killed exactly there
    try:
        collector = start(settings)
        wait_for(lambda: not row_is_there(engine, deleted), 60, "the commit")
        collector.kill()
        collector.wait(10)
    finally:
        s3_server.thaw()
    assert any(deleted in key for key in stored(objects))
    assert [it for it in verify(engine, objects) if it.problem] == []
    assert {it["kind"] for it in result(start(settings))} == {"object"}
    assert_every_named_file_is_there_and_nothing_else(engine, objects)
    assert row_is_there(engine, kept)


def row_is_there(engine: Engine, job_id: str) -> bool:
    with read_session(engine) as session:
        return session.get(JobRow, job_id) is not None


def test_two_at_once_remove_each_thing_once_and_nothing_that_is_named(
    engine: Engine, objects: Objects, settings: dict[str, Any]
) -> None:
    for _ in range(2):
        create_finished_job(engine, objects)
    deleted = {a_deleted_job(engine, objects) for _ in range(8)}
    for number in range(12):
        objects.put_stream(artifact_key("job_gone", 1, str(number)), [b"x"], 1)
    both = [start(settings) for _ in range(2)]
    removed = [it["name"] for collector in both for it in result(collector) if it["kind"] == "job"]
    assert (set(removed), len(removed)) == (deleted, len(deleted))
    assert_every_named_file_is_there_and_nothing_else(engine, objects)


def test_a_restored_job_is_not_taken_by_a_collector_that_had_found_it(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    first, second = sorted(a_deleted_job(engine, objects) for _ in range(2))
    removing = Collector(Settings(home=tmp_path, retain_deleted_days=0), engine, objects).collect()
    taken = next(removing).name  # it has found both
    spared = second if taken == first else first
    with write_session(engine) as session:
        jobs.restore(session, DEFAULT_PROJECT, spared)
    assert [it.name for it in removing if it.kind == "job"] == []
    with read_session(engine) as session:
        assert session.scalars(select(JobRow.id)).all() == [spared]
    assert_every_named_file_is_there_and_nothing_else(engine, objects)


def test_an_upload_in_flight_is_never_collected(
    engine: Engine, objects: Objects, settings: dict[str, Any]
) -> None:
    """However old the model that it is for, and also when its bytes are all there and its import is not yet begun."""
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    with write_session(engine) as session:
        moving, sent, abandoned = (
            models.create(
                session, DEFAULT_PROJECT, name, model_description(), status="awaiting_upload"
            ).id
            for name in ("moving", "sent", "abandoned")
        )
        session.execute(update(ModelRow).values(created_at=ModelRow.created_at - OLD))
        uploaded_items.record_upload_progress(session, ModelRow, sent)
    objects.put_stream(upload_key(sent), [b"bytes"], 5)
    objects.put_stream(upload_key(abandoned), [b"bytes"], 5)
    half, collected = threading.Event(), threading.Event()
    size = 20 * 2**20

    def body() -> Iterator[bytes]:
        yield SAFETENSORS
        yield b" " * (size // 2)
        half.set()
        assert collected.wait(60)
        yield b" " * (size // 2)

    service = Service(settings)
    try:
        answers: list[Any] = []
        headers = {"Content-Type": "application/octet-stream"}
        sending = threading.Thread(
            target=lambda: answers.append(
                service.client.put(f"/v1/models/{moving}/content", content=body(), headers=headers)
            )
        )
        sending.start()
        assert half.wait(60)
        wait_for(lambda: seen(engine, moving), 60, "the service's note that the upload moves")
        removed = {it["name"] for it in result(start(settings | {"orphan_grace_hours": 1}))}
        collected.set()
        sending.join(60)
    finally:
        collected.set()
        service.close()
    assert removed == {abandoned}
    assert answers[0].status_code == 202, answers[0].text
    assert objects.size(upload_key(moving)) == size + len(SAFETENSORS)
    assert (objects.exists(upload_key(sent)), objects.exists(upload_key(abandoned))) == (
        True,
        False,
    )


def seen(engine: Engine, model_id: str) -> bool:
    with read_session(engine) as session:
        return session.get_one(ModelRow, model_id).upload_seen_at is not None


def test_a_worker_collects_by_itself(
    engine: Engine, objects: Objects, settings: dict[str, Any], tmp_path: Path
) -> None:
    deleted = a_deleted_job(engine, objects)
    with Worker(
        {**environment(settings), **AT_ONCE, "DISTILL_COLLECT_SECONDS": "1"},
        tmp_path / "worker.log",
    ):
        wait_for(lambda: not any(deleted in key for key in stored(objects)), 60, "the collection")
    assert not row_is_there(engine, deleted)
