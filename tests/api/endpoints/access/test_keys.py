"""API keys: create, list, revoke."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import bearer


def test_key_is_created_listed_and_revoked(client: TestClient, anonymous: TestClient) -> None:
    """Its secret is shown once, in the response that creates it."""
    response = client.post(
        "/v1/keys", json={"name": "ci", "scopes": ["read"], "expires_in_days": 1}
    )
    assert response.status_code == 201
    key = response.json()
    assert key["expires_at"] > key["created_at"]
    assert anonymous.get("/v1/jobs", headers=bearer(key["secret"])).status_code == 200
    listed = client.get("/v1/keys").json()["data"]
    assert [row["name"] for row in listed] == ["ci", "everything"]
    assert key["secret"] not in client.get("/v1/keys").text
    assert listed[0]["last_used_at"] is not None
    revoked = client.delete(f"/v1/keys/{key['id']}")
    assert (revoked.status_code, revoked.json()["revoked_at"] is None) == (200, False)
    assert client.delete(f"/v1/keys/{key['id']}").json() == revoked.json()
    assert anonymous.get("/v1/jobs", headers=bearer(key["secret"])).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": ["read"], "expires_in_days": 0},
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "project_id": "prj_other"},
    ],
)
def test_invalid_key_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/v1/keys", json=body).status_code == 422


def test_unknown_key_is_a_404(client: TestClient) -> None:
    assert client.delete("/v1/keys/key_none").status_code == 404
