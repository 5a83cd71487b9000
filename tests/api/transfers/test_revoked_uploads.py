"""An upload ends with the API key or the session that began it."""

import time
from collections.abc import Iterator

import httpx2
import pytest

from core.settings import Settings
from core.store.objects.store import Objects
from tests.api.builders import SAFETENSORS
from tests.api.conftest import Service, bearer
from tests.api.transfers.test_uploads import OCTETS, create_item, status
from tests.builders import stored_keys
from tests.servers import wait_until


def is_storing(settings: Settings) -> bool:
    return any(settings.home.glob("**/.staging/*"))


@pytest.mark.parametrize("credential", ["key", "session"])
def test_a_revoked_key_ends_its_uploads(
    service: Service, settings: Settings, credential: str
) -> None:
    """The bytes that still arrive are refused after some seconds, and nothing is stored."""
    key = service.client.post("/v1/keys", json={"name": "short", "scopes": ["submit"]}).json()
    row_id = create_item(service.client, "models")
    uploader = httpx2.Client(base_url=service.url, timeout=20, trust_env=False)
    uploader.headers["Origin"] = service.url
    if credential == "session":
        uploader.post("/v1/session", json={"key": key["secret"]}).raise_for_status()
    else:
        uploader.headers.update(bearer(key["secret"]))
    chunks = 0

    def content() -> Iterator[bytes]:
        """Trickle bytes for as long as the service stores them."""
        nonlocal chunks
        yield SAFETENSORS + b"\0" * 100_000
        wait_until(lambda: is_storing(settings), what="the upload")
        assert service.client.delete(f"/v1/keys/{key['id']}").status_code == 200
        while is_storing(settings) and chunks < 600:
            time.sleep(0.1)
            chunks += 1
            yield b"\0" * 1000

    response = uploader.put(f"/v1/models/{row_id}/content", content=content(), headers=OCTETS)
    assert response.status_code == 401
    assert "of this upload was revoked" in response.json()["detail"]
    assert chunks < 600
    objects = Objects.from_settings(settings)
    wait_until(lambda: stored_keys(objects, "uploads") == [], what="an empty folder")
    assert status(service.client, "models", row_id) == "awaiting_upload"
    assert uploader.get("/v1/session").status_code == 401
