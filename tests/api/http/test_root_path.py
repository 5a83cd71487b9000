"""Under a path of a reverse proxy, whether the proxy strips the path or leaves it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy import Engine

from api.app import create_app
from core.settings import Settings
from core.store.objects.store import Objects
from tests.api.builders import create_finished_job
from tests.api.conftest import KEY, Service, bearer
from tests.api.dashboard_build import build_dashboard
from tests.api.reverse_proxy import reverse_proxy
from tests.builders import training_body

ROOT = "/teams/distill"


@pytest.fixture(params=["stripped", "left"])
def browser(
    request: pytest.FixtureRequest, start_service: Callable[..., Service]
) -> Iterator[httpx2.Client]:
    """A client of a real service behind a real proxy; all of its requests go through the proxy."""
    service = start_service(root_path=ROOT)
    with (
        reverse_proxy(service.url, ROOT, strips=request.param == "stripped") as url,
        httpx2.Client(base_url=url, trust_env=False) as client,
    ):
        client.headers["Origin"] = url.removesuffix(ROOT)
        yield client


def test_every_address_in_a_response_has_the_path(
    browser: httpx2.Client, settings: Settings, engine: Engine
) -> None:
    """Each is followed through the proxy, which answers nothing outside of its path."""
    browser.headers.update(bearer(KEY))
    response = browser.post("v1/jobs", json=training_body())
    job_id = response.json()["id"]
    assert response.headers["Location"] == f"{ROOT}/v1/jobs/{job_id}"
    assert browser.get(urljoin(str(response.url), response.headers["Location"])).json()["id"]
    attempt = create_finished_job(engine, Objects.from_settings(settings))
    artifacts = browser.get(f"v1/jobs/{attempt.job_id}/artifacts").json()["data"]
    assert len(artifacts) == 4
    for artifact in artifacts:
        assert artifact["url"].startswith(f"{ROOT}/v1/jobs/")
        assert browser.get(urljoin(str(response.url), artifact["url"])).status_code == 200
    problem = browser.get("v1/jobs/none").json()
    assert problem["instance"] == f"{ROOT}/v1/jobs/none"


def test_the_documentation_works_below_the_path(browser: httpx2.Client) -> None:
    page = browser.get("docs")
    addresses = re.findall(r'(?:src|href)="([^":]+)"', page.text)
    script = browser.get(urljoin(str(page.url), addresses[-1])).text
    addresses += re.findall(r'url: "([^"]+)"', script)
    assert len(addresses) == 4
    for address in addresses:
        assert browser.get(urljoin(str(page.url), address)).status_code == 200
    document = browser.get("openapi.json").json()
    assert document["servers"] == [{"url": ROOT}]


def test_a_session_lives_below_the_path(browser: httpx2.Client) -> None:
    response = browser.post("v1/session", json={"key": KEY})
    assert f"Path={ROOT};" in response.headers["Set-Cookie"]
    assert browser.get("v1/session").json()["key_name"] == "everything"
    assert browser.post("v1/keys", json={"name": "x", "scopes": ["read"]}).status_code == 201
    outside = str(browser.base_url).removesuffix("/").removesuffix(ROOT)
    assert "cookie" not in browser.build_request("GET", f"{outside}/other").headers
    assert browser.delete("v1/session").status_code == 204
    assert browser.get("v1/session").status_code == 401


def test_pages_know_the_path(
    settings: Settings, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_dashboard(tmp_path / "dist")
    monkeypatch.setattr("api.dashboard.FOLDER", tmp_path / "dist")
    settings = settings.model_copy(update={"root_path": ROOT})
    with TestClient(create_app(settings)) as client:
        for path in (ROOT, f"{ROOT}/", f"{ROOT}/jobs/x", "/", "/jobs/x"):
            page = client.get(path).text
            assert f'<base href="{ROOT}/">' in page
            assert f'<meta name="distill-root" content="{ROOT}">' in page
        assert client.get(f"{ROOT}/assets/app-1a2b.js").status_code == 200
        assert client.get(f"{ROOT}{ROOT}/").status_code == 404
        assert client.get("/teams/distillery").status_code == 404


@pytest.mark.parametrize("path", ["/", "/distill/", "distill", "/a b", '/"x', "//evil.example"])
def test_a_wrong_root_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Settings(root_path=path)
