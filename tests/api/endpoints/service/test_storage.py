"""GET /v1/storage: what the key's project stores, and the space that is left."""

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.settings import Settings
from core.store.objects.store import Objects
from tests.api.builders import create_finished_job
from tests.api.conftest import KEY, STRANGERS_KEY, bearer, make_key


def test_storage_says_what_a_project_stores(
    client: TestClient, engine: Engine, settings: Settings
) -> None:
    objects = Objects.from_settings(settings)
    create_finished_job(engine, objects)
    storage = client.get("/v1/storage").json()
    assert storage["kinds"]["weights"] == {"files": 1, "bytes": 1024}
    assert storage["kinds"]["report"]["files"] == 3
    assert storage["total"]["files"] == 4
    assert 0 < storage["free_bytes"] < storage["capacity_bytes"]
    other = client.get("/v1/storage", headers=bearer(STRANGERS_KEY)).json()
    assert other["total"] == {"files": 0, "bytes": 0}


def test_storage_needs_the_scope_read(anonymous: TestClient, engine: Engine) -> None:
    assert anonymous.get("/v1/storage").status_code == 401
    operator = make_key(engine, "operator")
    assert anonymous.get("/v1/storage", headers=operator).status_code == 403
    reader = make_key(engine, "read")
    assert anonymous.get("/v1/storage", headers=reader).status_code == 200


def test_a_store_without_a_folder_has_no_limit(engine: Engine, settings: Settings) -> None:
    changed = settings.model_copy(update={"objects_url": "memory:///"})
    with TestClient(create_app(changed), headers=bearer(KEY)) as client:
        storage = client.get("/v1/storage").json()
    assert (storage["free_bytes"], storage["capacity_bytes"]) == (None, None)
