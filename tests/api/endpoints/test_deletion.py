"""DELETE hides an item, and POST …/restore undoes it until the collector has removed the item."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.settings import Settings
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT, ModelRow
from core.store.objects.store import Objects
from core.store.registry import uploaded_items
from tests.api.builders import SAFETENSORS, create_finished_job
from tests.api.conftest import make_key
from tests.builders import (
    create_attempt,
    create_job,
    create_teacher,
    distillation_body,
    stored_keys,
)

BYTES = {"Content-Type": "application/octet-stream"}


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_job_is_deleted_and_restored_with_its_files(
    client: TestClient, engine: Engine, settings: Settings
) -> None:
    """A second DELETE or restore is a 404; a restore repeated under its key is replayed."""
    job = f"/v1/jobs/{create_finished_job(engine, Objects.from_settings(settings)).job_id}"
    etag = client.get(job).headers["ETag"]
    deleted = client.delete(job)
    assert (deleted.status_code, deleted.json()["status"]) == (200, "succeeded")
    assert deleted.json()["deleted_at"].endswith("Z")
    assert code(client.delete(job)) == (404, "not_found")
    for path in ("", "/events", "/report", "/artifacts", "/artifacts/best.safetensors", "/metrics"):
        assert client.get(job + path).status_code == 404
    assert client.get("/v1/jobs").json()["data"] == []
    again = {"Idempotency-Key": "1"}
    restored = client.post(f"{job}/restore", headers=again)
    assert (restored.status_code, restored.json()["deleted_at"]) == (200, None)
    assert client.post(f"{job}/restore", headers=again).json() == restored.json()
    assert code(client.post(f"{job}/restore")) == (404, "not_found")
    assert client.get(f"{job}/artifacts/best.safetensors").status_code == 200
    assert client.get(job, headers={"If-None-Match": etag}).status_code == 200


def test_items_in_use_cannot_be_deleted(client: TestClient, engine: Engine) -> None:
    """Neither can jobs that have not ended, nor what comes with the program."""
    queued, running = create_job(engine).id, create_attempt(engine).job_id
    for job_id in (queued, running):
        assert code(client.delete(f"/v1/jobs/{job_id}")) == (409, "job_not_ended")
    teacher = create_teacher(engine)
    job = client.post("/v1/jobs", json=distillation_body(teacher=teacher.id)).json()["id"]
    assert code(client.delete("/v1/models/teacher")) == (409, "in_use")
    assert code(client.delete("/v1/datasets/digits")) == (409, "built_in")
    client.post(f"/v1/jobs/{job}/cancel")
    assert client.delete("/v1/models/teacher").status_code == 200
    assert (
        client.post("/v1/jobs", json=distillation_body(teacher=teacher.id)).json()["param"]
        == "teacher"
    )
    assert client.post(f"/v1/jobs/{job}/clone").status_code == 422


def test_item_is_deleted_by_name_and_restored_by_id(client: TestClient) -> None:
    """While another model or data set has its name, it cannot be restored."""
    bodies = {
        "models": {"name": "mine", "network": {"architecture": "small_cnn"}, "classes": 10},
        "datasets": {"name": "mine"},
    }
    for collection, body in bodies.items():
        first = client.post(f"/v1/{collection}", json=body).json()
        deleted = client.delete(f"/v1/{collection}/mine").json()
        assert {**deleted, "deleted_at": None} == first
        second = client.post(f"/v1/{collection}", json=body).json()
        assert code(client.post(f"/v1/{collection}/{first['id']}/restore")) == (409, "name_taken")
        client.delete(f"/v1/{collection}/{second['id']}")
        assert client.post(f"/v1/{collection}/{first['id']}/restore").json() == first
        assert client.get(f"/v1/{collection}/mine").json() == first


def test_read_scope_deletes_and_restores_nothing(client: TestClient, engine: Engine) -> None:
    headers, teacher = make_key(engine, "read"), create_teacher(engine)
    assert code(client.delete(f"/v1/models/{teacher.id}", headers=headers)) == (403, "forbidden")
    assert code(client.post(f"/v1/jobs/{create_job(engine).id}/restore", headers=headers)) == (
        403,
        "forbidden",
    )


def test_upload_ends_when_its_model_is_deleted(
    client: TestClient, engine: Engine, settings: Settings
) -> None:
    """It is answered with a 404, and nothing stays in the object store."""
    model = client.post(
        "/v1/models", json={"name": "mine", "network": {"architecture": "small_cnn"}, "classes": 10}
    ).json()

    def body() -> Any:
        yield SAFETENSORS
        with write_session(engine) as session:  # by now the service has checked the status
            uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, "mine")
        yield b" " * 2**20

    response = client.put(f"/v1/models/{model['id']}/content", content=body(), headers=BYTES)
    assert code(response) == (404, "not_found")
    assert stored_keys(Objects.from_settings(settings), "uploads") == []
