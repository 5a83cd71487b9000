"""The collector is killed, or runs beside another one or an upload: referenced objects remain."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import Engine, select, update

from core.settings import Settings
from core.store import jobs
from core.store.access import keys
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow, ModelRow
from core.store.objects import references
from core.store.objects.collector import Collector
from core.store.objects.store import FOLDERS, Objects, artifact_key, upload_key
from core.store.objects.verification import verify
from core.store.registry import models, uploaded_items
from tests.api.builders import SAFETENSORS, create_finished_job
from tests.api.conftest import KEY
from tests.api.conftest import Service as Api
from tests.builders import model_description, stored_keys
from tests.servers import S3
from tests.worker.service import Service as Worker
from tests.worker.service import wait_for

WITHOUT_DELAY = {"DISTILL_RETAIN_DELETED_DAYS": "0", "DISTILL_ORPHAN_GRACE_HOURS": "0"}
TEN_DAYS_MS = 10 * 86_400_000
UPLOAD_BYTES = 20 * 2**20


@pytest.fixture
def settings(postgres_url: str, tmp_path: Path) -> dict[str, Any]:
    """Settings of processes on Postgres and a folder."""
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


def start_collector(settings: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "core.store.commands.storage", "gc", "--json"]
    return subprocess.Popen(
        command,
        env={**os.environ, **WITHOUT_DELAY, **environment(settings)},
        stdout=subprocess.PIPE,
        text=True,
    )


def removed_items(collector: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Wait until the collector has ended, and return what it has removed."""
    output, _ = collector.communicate(timeout=60)
    assert collector.returncode == 0
    items: list[dict[str, Any]] = json.loads(output)
    return items


def create_deleted_job(engine: Engine, objects: Objects) -> str:
    job_id = create_finished_job(engine, objects).job_id
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job_id)
    return job_id


def row_exists(engine: Engine, job_id: str) -> bool:
    with read_session(engine) as session:
        return session.get(JobRow, job_id) is not None


def all_keys(objects: Objects) -> set[str]:
    return {key for folder in FOLDERS for key in stored_keys(objects, folder)}


def assert_all_intact(engine: Engine, objects: Objects) -> None:
    """Every referenced object is stored, with its size and SHA-256."""
    assert [file for file in verify(engine, objects) if file.problem] == []


def assert_only_referenced_objects(engine: Engine, objects: Objects) -> None:
    """Every referenced object is stored and intact, and there is no other."""
    assert_all_intact(engine, objects)
    assert {file.key for file in references.list_files(engine)} == all_keys(objects)


def test_killed_collector_leaves_orphans_to_the_next_one(
    engine: Engine, settings: dict[str, Any], s3: dict[str, Any], s3_server: S3
) -> None:
    """It is killed between the commit and the deletion of the objects."""
    settings |= s3
    objects = Objects.from_settings(Settings(**settings))
    remaining_id = create_finished_job(engine, objects).job_id
    deleted_id = create_deleted_job(engine, objects)
    s3_server.freeze()  # so that it waits between commit and deletion until it is killed
    try:
        collector = start_collector(settings)
        wait_for(lambda: not row_exists(engine, deleted_id), 60, "the commit")
        collector.kill()
        collector.wait(10)
    finally:
        s3_server.thaw()
    assert any(deleted_id in key for key in all_keys(objects))
    assert_all_intact(engine, objects)
    assert {item["kind"] for item in removed_items(start_collector(settings))} == {"object"}
    assert_only_referenced_objects(engine, objects)
    assert row_exists(engine, remaining_id)


def test_two_collectors_remove_each_item_once(
    engine: Engine, objects: Objects, settings: dict[str, Any]
) -> None:
    """Two collectors at once remove no referenced object."""
    for _ in range(2):
        create_finished_job(engine, objects)
    deleted_ids = {create_deleted_job(engine, objects) for _ in range(8)}
    for number in range(12):
        objects.put_stream(artifact_key("job_gone", 1, str(number)), [b"x"], 1)
    collectors = [start_collector(settings) for _ in range(2)]
    items = [item for collector in collectors for item in removed_items(collector)]
    removed_ids = [item["name"] for item in items if item["kind"] == "job"]
    assert (set(removed_ids), len(removed_ids)) == (deleted_ids, len(deleted_ids))
    assert_only_referenced_objects(engine, objects)


def test_job_restored_during_a_collection_is_not_removed(
    engine: Engine, objects: Objects, tmp_path: Path
) -> None:
    """The collector has already listed it when it is restored."""
    first_id, second_id = sorted(create_deleted_job(engine, objects) for _ in range(2))
    collection = Collector(
        Settings(home=tmp_path, retain_deleted_days=0), engine, objects
    ).collect()
    removed_id = next(collection).name  # both are listed now
    restored_id = second_id if removed_id == first_id else first_id
    with write_session(engine) as session:
        jobs.restore(session, DEFAULT_PROJECT, restored_id)
    assert [item.name for item in collection if item.kind == "job"] == []
    with read_session(engine) as session:
        assert session.scalars(select(JobRow.id)).all() == [restored_id]
    assert_only_referenced_objects(engine, objects)


def create_old_models(engine: Engine) -> tuple[str, str, str]:
    """Create three models that have awaited their upload for ten days; return their ids.

    The upload of the second one has just been noticed.
    """
    with write_session(engine) as session:
        uploading, uploaded, abandoned = (
            models.create(
                session, DEFAULT_PROJECT, name, model_description(), status="awaiting_upload"
            ).id
            for name in ("uploading", "uploaded", "abandoned")
        )
        session.execute(update(ModelRow).values(created_at=ModelRow.created_at - TEN_DAYS_MS))
        uploaded_items.record_upload_progress(session, ModelRow, uploaded)
    return uploading, uploaded, abandoned


class SlowUpload:
    """An upload that pauses in the middle until ``may_continue`` is set."""

    def __init__(self, api: Api, model_id: str) -> None:
        self.api = api
        self.model_id = model_id
        self.is_halfway = threading.Event()
        self.may_continue = threading.Event()
        self.responses: list[Any] = []
        self.thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_continue.set()

    def _send(self) -> None:
        response = self.api.client.put(
            f"/v1/models/{self.model_id}/content",
            content=self._body(),
            headers={"Content-Type": "application/octet-stream"},
        )
        self.responses.append(response)

    def _body(self) -> Iterator[bytes]:
        yield SAFETENSORS
        yield b" " * (UPLOAD_BYTES // 2)
        self.is_halfway.set()
        assert self.may_continue.wait(60)
        yield b" " * (UPLOAD_BYTES // 2)


def upload_is_recorded(engine: Engine, model_id: str) -> bool:
    with read_session(engine) as session:
        return session.get_one(ModelRow, model_id).upload_seen_at is not None


def test_upload_in_progress_is_never_collected(
    engine: Engine, objects: Objects, settings: dict[str, Any]
) -> None:
    """However old its model is, and also if all its bytes are stored but not yet imported."""
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    uploading, uploaded, abandoned = create_old_models(engine)
    objects.put_stream(upload_key(uploaded), [b"bytes"], 5)
    objects.put_stream(upload_key(abandoned), [b"bytes"], 5)
    with closing(Api(settings)) as api, SlowUpload(api, uploading) as upload:
        assert upload.is_halfway.wait(60)
        wait_for(lambda: upload_is_recorded(engine, uploading), 60, "the record of the upload")
        collector = start_collector(settings | {"orphan_grace_hours": 1})
        removed_names = {item["name"] for item in removed_items(collector)}
        upload.may_continue.set()
        upload.thread.join(60)
    assert removed_names == {abandoned}
    assert upload.responses[0].status_code == 202, upload.responses[0].text
    assert objects.size(upload_key(uploading)) == UPLOAD_BYTES + len(SAFETENSORS)
    assert objects.exists(upload_key(uploaded))
    assert not objects.exists(upload_key(abandoned))


def test_worker_collects_by_itself(
    engine: Engine, objects: Objects, settings: dict[str, Any], tmp_path: Path
) -> None:
    deleted_id = create_deleted_job(engine, objects)
    with Worker(
        {**environment(settings), **WITHOUT_DELAY, "DISTILL_COLLECT_SECONDS": "1"},
        tmp_path / "worker.log",
    ):
        wait_for(
            lambda: not any(deleted_id in key for key in all_keys(objects)), 60, "the collection"
        )
    assert not row_exists(engine, deleted_id)
