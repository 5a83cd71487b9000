"""C3: on a full disk a job is paused until there is space, and an upload is answered with 507."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine

from core.store.access import keys
from core.store.database.engine import read_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.lifecycle import transitions
from tests.faults.small_disk import SmallDisk
from tests.servers import free_port
from tests.worker.results import latest_checkpoint_step, short_job
from tests.worker.service import get_job, submit, wait_for, wait_for_end

KEY = "dk_everything"
ON_SMALL_DISK = {
    "scratch": ("DISTILL_SCRATCH_FOLDER", "{}"),
    "objects": ("DISTILL_OBJECTS_URL", "file://{}"),
}
MODEL: dict[str, Any] = {
    "name": "teacher",
    "network": {"architecture": "small_cnn"},
    "classes": 10,
    "channels": 1,
    "height": 8,
    "width": 8,
}
CHECKPOINT = (2).to_bytes(8, "little") + b"{}" + b"\0" * 2**20
"""A megabyte that begins as a safetensors file does."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database makes no difference here."""
    return sqlite_url


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(tmp_path / "home"),
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_STORAGE_RETRY_SECONDS": "1",
        "DISTILL_PORT": str(free_port()),
    }


def has_partial_file(disk: SmallDisk) -> bool:
    return any(file.endswith(".part") or "#" in file for file in disk.files())


@pytest.mark.parametrize("files", ["scratch", "objects"])
def test_c3_job_on_a_full_disk_pauses_until_there_is_space(
    engine: Engine, environment: dict[str, str], tmp_path: Path, files: str
) -> None:
    """It is paused with the reason, leaves no partial file, and resumes when there is space."""
    disk = SmallDisk(tmp_path / "disk", kilobytes=4096)
    name, value = ON_SMALL_DISK[files]
    job_id = submit(engine, short_job(40))
    environment[name] = value.format(disk.folder)
    log = tmp_path / "worker.log"
    with disk.start(environment, log, "-m", "worker.polling") as worker:
        wait_for(lambda: latest_checkpoint_step(engine, job_id), 120, "a checkpoint")
        disk.fill()
        paused = wait_for(
            lambda: (row := get_job(engine, job_id)).status == "paused" and row, 120, "a pause"
        )
        assert "disk" in (paused.pending_reason or "")
        assert "full" in (paused.pending_reason or "")
        # The worker may be trying to keep the log at this moment.
        wait_for(lambda: not has_partial_file(disk), 120, "the end of partial files")
        disk.free()
        job = wait_for_end(engine, job_id, 240)
        assert not worker.trainers()
    assert (job.status, job.infrastructure_failures) == ("succeeded", 0), job.failure
    with read_session(engine) as session:
        assert "failed" not in {event.data["to"] for event in transitions.history(session, job_id)}


def test_c3_upload_to_a_full_disk_is_507_and_leaves_no_file(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """The model still awaits its upload, and one that fits succeeds."""
    disk = SmallDisk(tmp_path / "disk", kilobytes=512)
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    environment["DISTILL_OBJECTS_URL"] = f"file://{disk.folder}"
    url = f"http://127.0.0.1:{environment['DISTILL_PORT']}"
    log = tmp_path / "api.log"
    with (
        disk.start(environment, log, "-m", "api"),
        httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        wait_for(lambda: is_ready(client), 60, f"the API, whose output is in {log},")
        model = client.post("/v1/models", json=MODEL).json()
        content_path = f"/v1/models/{model['id']}/content"
        headers = {"Content-Type": "application/octet-stream"}
        response = client.put(content_path, content=CHECKPOINT, headers=headers)
        assert (response.status_code, response.json()["code"]) == (507, "storage_full")
        assert disk.files() == []
        assert client.get(f"/v1/models/{model['id']}").json()["status"] == "awaiting_upload"
        response = client.put(content_path, content=CHECKPOINT[: 2**18], headers=headers)
        assert response.status_code == 202


def is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
