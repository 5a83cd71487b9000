"""GET /v1/service: what an installation allows is what it accepts."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core import __version__
from core.settings import Settings
from tests.api.conftest import KEY, bearer, make_key


@pytest.mark.parametrize("allows", [False, True])
def test_what_is_allowed_is_what_is_accepted(
    settings: Settings, engine: Engine, tmp_path: Path, allows: bool
) -> None:
    folder = tmp_path / "data"
    (folder / "mine").mkdir(parents=True)
    changes = {"data_folder": folder if allows else None, "allow_downloads": allows}
    app = create_app(settings.model_copy(update=changes))
    with TestClient(app, headers=bearer(KEY)) as client:
        service = client.get("/v1/service").json()
        assert service["version"] == __version__
        assert service["dataset_imports"] == (
            ["upload", "folder", "download"] if allows else ["upload"]
        )
        for name, source in (("a", {"folder": "mine"}), ("b", {"download": "cifar10"})):
            response = client.post("/v1/datasets", json={"name": name, **source})
            assert response.is_success == allows


def test_every_key_may_ask(anonymous: TestClient, engine: Engine) -> None:
    assert anonymous.get("/v1/service").status_code == 401
    service = anonymous.get("/v1/service", headers=make_key(engine, "submit")).json()
    assert (service["max_upload_bytes"], service["restore_days"]) == (8 * 2**30, 7.0)
