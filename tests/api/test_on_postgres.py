"""What SQLite and Postgres could do differently."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from core.settings import Settings
from core.store.access import keys
from core.store.database.engine import make_engine
from core.store.database.tables import DEFAULT_PROJECT
from tests.api.builders import SAFETENSORS
from tests.api.conftest import KEY, bearer
from tests.builders import training_body


@pytest.fixture
def settings(postgres_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=postgres_url)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    engine = make_engine(settings.resolved_database_url)
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    engine.dispose()
    with TestClient(create_app(settings), headers=bearer(KEY)) as client:
        yield client


def test_job_life_cycle_on_postgres(client: TestClient) -> None:
    job = client.post("/v1/jobs", json=training_body(name="one", metadata={"team": "a"})).json()
    clone = client.post(f"/v1/jobs/{job['id']}/clone", json={"metadata": {"team": "b"}}).json()
    assert clone["queue_position"] == 2
    listed = client.get(
        "/v1/jobs", params={"metadata[team]": "a", "status": "queued", "include_total": "true"}
    ).json()
    assert ([row["id"] for row in listed["data"]], listed["total"]) == ([job["id"]], 1)
    page = client.get("/v1/jobs", params={"limit": 1}).json()
    rest = client.get("/v1/jobs", params={"after": page["next_cursor"]}).json()
    assert [row["id"] for row in page["data"] + rest["data"]] == [clone["id"], job["id"]]
    assert [client.post(f"/v1/jobs/{job['id']}/cancel").status_code for _ in range(2)] == [202, 200]
    assert client.get(f"/v1/jobs/{clone['id']}").json()["queue_position"] == 1
    assert client.get(f"/v1/jobs/{job['id']}/metrics").json() == {"series": []}


def test_upload_on_postgres(client: TestClient) -> None:
    body = {
        "name": "m",
        "network": {"architecture": "small_cnn"},
        "classes": 10,
        "channels": 1,
        "height": 8,
        "width": 8,
    }
    row = client.post("/v1/models", json=body).json()
    assert client.post("/v1/models", json=body).json()["code"] == "name_taken"
    uploaded = client.put(f"/v1/models/{row['id']}/content", content=SAFETENSORS)
    assert (uploaded.status_code, uploaded.json()["status"]) == (202, "importing")
    cancelled = client.post(f"/v1/jobs/{uploaded.json()['import_job_id']}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    refused = client.get("/v1/models/m").json()
    assert (refused["status"], refused["problem"]["code"]) == ("refused", "import_cancelled")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/a%00b",
        "/v1/models/a%00b",
        "/v1/datasets/a%00b",
        "/v1/keys/a%00b",
        "/v1/jobs/%ed%a0%80",
    ],
)
def test_text_postgres_cannot_store_names_nothing(client: TestClient, path: str) -> None:
    assert client.request("DELETE" if "keys" in path else "GET", path).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "method=a%00b",
        "student=%00",
        "dataset=%00",
        "metadata[a]=%00",
        "after=%00",
        "dataset=%ed%a0%80",
    ],
)
def test_text_postgres_cannot_store_in_filters(client: TestClient, query: str) -> None:
    """It matches nothing or is refused, but is no internal error."""
    assert client.get(f"/v1/jobs?{query}").status_code in {200, 422}
