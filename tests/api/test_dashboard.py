"""The dashboard's pages and files, as they are served."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.dashboard import PAGES
from core.settings import Settings
from tests.api.conftest import Service
from tests.api.dashboard_build import PAGE, SCRIPT, build_dashboard
from tests.intruders.problems import assert_problem

SCRIPT_PATH = "/assets/app-1a2b.js"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the built dashboard belongs; nothing is there yet."""
    folder = tmp_path / "dist"
    monkeypatch.setattr("api.dashboard.FOLDER", folder)
    return folder


@pytest.fixture
def browser(folder: Path, settings: Settings, engine: Engine) -> Iterator[TestClient]:
    """A client of a service whose dashboard has been built."""
    build_dashboard(folder)
    with TestClient(create_app(settings), follow_redirects=False) as client:
        yield client


def test_every_page_is_served_to_everybody(browser: TestClient) -> None:
    paths = [f"/{page}" for page in PAGES]
    for path in ["/", *paths, "/jobs/job_1", "/sweeps/x/y", "/sign-in/", "/jobs/a.b"]:
        response = browser.get(path)
        assert response.status_code == 200, path
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert '<base href="/">' in response.text
        assert '<meta name="distill-root" content="">' in response.text


def test_a_page_runs_only_the_services_own_scripts(browser: TestClient) -> None:
    headers = browser.get("/jobs").headers
    policy = headers["Content-Security-Policy"]
    for directive in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
        assert directive in policy.split("; ")
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_page_is_revalidated(browser: TestClient, folder: Path) -> None:
    response = browser.get("/")
    assert response.headers["Cache-Control"] == "no-cache"
    condition = {"If-None-Match": response.headers["ETag"]}
    unchanged = browser.get("/jobs", headers=condition)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert "Content-Security-Policy" in unchanged.headers
    build_dashboard(folder, PAGE.replace("app-1a2b", "app-9f9f"))
    os.utime(folder / "index.html", ns=(1, 1))
    changed = browser.get("/", headers=condition)
    assert (changed.status_code, "app-9f9f" in changed.text) == (200, True)


def test_files_with_a_hash_in_their_name_are_immutable(browser: TestClient) -> None:
    response = browser.get(SCRIPT_PATH)
    assert response.content == SCRIPT
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert browser.get("/theme.js").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        (SCRIPT_PATH, "text/javascript; charset=utf-8"),
        ("/assets/app-3c4d.css", "text/css; charset=utf-8"),
        ("/assets/icon-5e6f.svg", "image/svg+xml"),
        ("/theme.js", "text/javascript; charset=utf-8"),
    ],
)
def test_files_have_their_media_type(browser: TestClient, path: str, media_type: str) -> None:
    assert browser.get(path).headers["Content-Type"] == media_type


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5, br;q=0.4", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("deflate", None),
        ("identity", None),
        ("br;q=0, gzip;q=0", None),
        ("", None),
    ],
)
def test_the_preferred_encoding_is_sent(
    browser: TestClient, accepted: str, encoding: str | None
) -> None:
    with browser.stream("GET", SCRIPT_PATH, headers={"Accept-Encoding": accepted}) as response:
        body = b"".join(response.iter_raw())
    contents = {"br": b"brotli", "gzip": gzip.compress(SCRIPT), None: SCRIPT}
    assert response.headers.get("Content-Encoding") == encoding
    assert response.headers["Vary"] == "Accept-Encoding"
    if encoding == "gzip":
        assert gzip.decompress(body) == SCRIPT
    else:
        assert body == contents[encoding]
    assert response.headers["Content-Length"] == str(len(body))


def test_a_file_without_compressed_forms_is_sent_as_it_is(browser: TestClient) -> None:
    response = browser.get("/theme.js", headers={"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in response.headers


def test_each_encoding_has_its_own_tag(browser: TestClient) -> None:
    tags = set()
    for encoding in ("br", "gzip", "identity"):
        headers = {"Accept-Encoding": encoding}
        with browser.stream("GET", SCRIPT_PATH, headers=headers) as response:
            tags.add(response.headers["ETag"])
        headers["If-None-Match"] = response.headers["ETag"]
        assert browser.get(SCRIPT_PATH, headers=headers).status_code == 304
    assert len(tags) == 3


@pytest.mark.parametrize("path", ["/", "/jobs/x", SCRIPT_PATH, "/theme.js"])
def test_head_is_answered_like_get(browser: TestClient, path: str) -> None:
    head = browser.head(path, headers={"Accept-Encoding": "identity"})
    get = browser.get(path, headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(get.content)))
    assert head.headers["ETag"] == get.headers["ETag"]


@pytest.mark.parametrize("path", ["/", "/jobs/x", SCRIPT_PATH])
def test_other_methods_are_not_allowed(browser: TestClient, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        response = browser.request(method, path)
        assert_problem(response, "method_not_allowed")
        assert response.headers["Allow"] == "GET, HEAD"


OUTSIDE = (
    "/none",
    "/jobsx",
    "/index.html",
    "/index.html.br",
    "/assets",
    "/assets/",
    "/assets/none-0000.js",
    "/assets/app-1a2b.js.gz",
    "/assets/.hidden.js",
    "/assets/../../distill.db",
    "/assets/%2e%2e/%2e%2e/distill.db",
    "/assets/..%2f..%2fdistill.db",
    "/assets/..%5c..%5cdistill.db",
    "/assets//app-1a2b.js",
    "//assets/app-1a2b.js",
    "/assets/%00",
    "/assets/app-1a2b.js/",
    "/v1/none",
)


@pytest.mark.parametrize("path", OUTSIDE)
def test_everything_else_is_a_problem(browser: TestClient, path: str) -> None:
    assert_problem(browser.get(f"http://testserver{path}"), "not_found")
    assert browser.head(f"http://testserver{path}").status_code == 404


def test_links_in_the_folder_are_not_listed_twice(browser: TestClient, folder: Path) -> None:
    """A link to a folder is not followed."""
    (folder / "assets" / "up").symlink_to(folder.parent)
    os.utime(folder / "index.html", ns=(1, 1))
    assert browser.get("/assets/up/distill.db").status_code == 404


def test_a_method_of_the_api_stays_what_it_was(browser: TestClient) -> None:
    response = browser.get("/v1/jobs/x/cancel")
    assert_problem(response, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


def test_pages_have_the_rules_of_host_and_origin(browser: TestClient) -> None:
    for path in ("/", SCRIPT_PATH):
        assert_problem(browser.get(path, headers={"Host": "evil.example"}), "wrong_host")
        origin = {"Origin": "https://evil.example"}
        assert_problem(browser.get(path, headers=origin), "wrong_origin")


def test_a_missing_dashboard_says_how_to_build_it(
    folder: Path, settings: Settings, engine: Engine
) -> None:
    """It appears without a restart as soon as it has been built."""
    with TestClient(create_app(settings)) as client:
        for path in ("/", "/jobs/x"):
            response = client.get(path)
            assert response.status_code == 503
            assert "`./run up` builds it" in response.text
            assert response.headers["Content-Type"].startswith("text/plain")
        assert client.get("/healthz").status_code == 200
        assert_problem(client.get(SCRIPT_PATH), "not_found")
        build_dashboard(folder)
        assert client.get("/jobs/x").status_code == 200
        assert client.get(SCRIPT_PATH).status_code == 200


def test_the_dashboard_can_be_turned_off(folder: Path, settings: Settings, engine: Engine) -> None:
    build_dashboard(folder)
    settings = settings.model_copy(update={"dashboard": False})
    with TestClient(create_app(settings)) as client:
        for path in ("/", "/jobs", SCRIPT_PATH):
            assert_problem(client.get(path), "not_found")
        assert client.get("/docs").status_code == 200


def test_pages_are_counted_as_one_route(service: Service) -> None:
    """The number of a metric's labels must not grow with the paths that callers make up."""
    for number in range(5):
        service.client.get(f"/jobs/{number}")
    metrics = service.client.get("/metrics").text
    assert 'route="(dashboard)"' in metrics
    assert "/jobs/3" not in metrics
