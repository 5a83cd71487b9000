"""C3: on a full disk a job pauses with the reason and goes on when there is room; an upload is refused with 507."""

from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Engine

from core.store import keys
from core.store.database.engine import read_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.lifecycle import transitions
from tests.builders import training_spec
from tests.faults.small_disk import SmallDisk
from tests.servers import free_port
from tests.worker.results import latest_checkpoint_step
from tests.worker.service import get_job, submit, wait_for, wait_for_end

KEY = "dk_everything"
ON_DISK = {
    "scratch": ("DISTILL_SCRATCH_FOLDER", "{}"),
    "objects": ("DISTILL_OBJECTS_URL", "file://{}"),
}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The database makes no difference here."""
    return sqlite_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DISTILL_HOME": str(tmp_path / "home"),
        "DISTILL_DATABASE_URL": database_url,
        "DISTILL_STORAGE_RETRY_SECONDS": "1",
        "DISTILL_PORT": str(free_port()),
    }


@pytest.mark.parametrize("where", ["scratch", "objects"])
def test_c3_a_job_on_a_full_disk_pauses_with_the_reason_and_goes_on_when_there_is_room(
    engine: Engine, settings: dict[str, str], tmp_path: Path, where: str
) -> None:
    disk = SmallDisk(tmp_path / "disk", kilobytes=4096)
    name, value = ON_DISK[where]
    job_id = submit(
        engine, training_spec(schedule={"epochs": 40, "batch_size": 64, "checkpoint_seconds": 0})
    )
    with disk.start(
        {**settings, name: value.format(disk.folder)},
        tmp_path / "worker.log",
        "-m",
        "worker.polling",
    ) as worker:
        wait_for(lambda: latest_checkpoint_step(engine, job_id), 120, "a checkpoint")
        disk.fill()
        paused = wait_for(
            lambda: (job := get_job(engine, job_id)).status == "paused" and job, 120, "a pause"
        )
        assert "disk" in (paused.pending_reason or "")
        assert "full" in (paused.pending_reason or "")
        assert not [file for file in disk.files() if file.endswith(".part") or "#" in file]
        disk.free()
        job = wait_for_end(engine, job_id, 240)
        assert not worker.trainers()
    assert (job.status, job.infrastructure_failures) == ("succeeded", 0), job.failure
    with read_session(engine) as session:
        assert "failed" not in {event.data["to"] for event in transitions.history(session, job_id)}


def test_c3_an_upload_that_does_not_fit_is_507_and_leaves_nothing(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    disk = SmallDisk(tmp_path / "disk", kilobytes=512)
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    body = {
        "name": "teacher",
        "network": {"architecture": "small_cnn"},
        "classes": 10,
        "channels": 1,
        "height": 8,
        "width": 8,
    }
    checkpoint = (2).to_bytes(8, "little") + b"{}" + b"\0" * 2**20  # as a safetensors file begins
    url = f"http://127.0.0.1:{settings['DISTILL_PORT']}"
    with (
        disk.start(
            {**settings, "DISTILL_OBJECTS_URL": f"file://{disk.folder}"},
            tmp_path / "api.log",
            "-m",
            "api",
        ) as api,
        httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        wait_for(lambda: answers(client), 60, api.log.read_text)
        model = client.post("/v1/models", json=body).json()
        octets = {"Content-Type": "application/octet-stream"}
        refused = client.put(
            f"/v1/models/{model['id']}/content", content=checkpoint, headers=octets
        )
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        assert disk.files() == []
        assert client.get(f"/v1/models/{model['id']}").json()["status"] == "awaiting_upload"
        fits = client.put(
            f"/v1/models/{model['id']}/content", content=checkpoint[: 2**18], headers=octets
        )
        assert fits.status_code == 202


def answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
