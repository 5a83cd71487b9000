"""Behind a path of a reverse proxy: deep links, reload, sign-in, files and documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from distill_client import Distill
from tests.api.reverse_proxy import reverse_proxy
from tests.builders import training_body
from tests.dashboard.browsing import open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService, start_empty

ROOT = "/distill"


@pytest.fixture(scope="module")
def prefixed_service(
    built_dashboard: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DashboardService]:
    """A service that knows that it is reached under ``ROOT``."""
    folder = tmp_path_factory.mktemp("prefixed") / "data"
    service = start_empty(folder, sqlite_template, DISTILL_ROOT_PATH=ROOT)
    yield service
    service.embedded.end()


@pytest.fixture(params=["stripped", "left"])
def origin(request: pytest.FixtureRequest, prefixed_service: DashboardService) -> Iterator[str]:
    """Where browsers reach the service: below ``ROOT``, and nothing else is there.

    A test asks for it before ``visit``, so that its pages are closed before the proxy is.
    """
    upstream = prefixed_service.url.removesuffix(ROOT)
    with reverse_proxy(upstream, ROOT, strips=request.param == "stripped") as url:
        yield url.removesuffix(ROOT)


@pytest.fixture(scope="module")
def job_id(prefixed_service: DashboardService) -> str:
    with prefixed_service.embedded.client() as client:
        return client.submit(training_body(name="prefixed")).id


def test_deep_link_survives_sign_in_and_reload(
    origin: str, visit: Visit, prefixed_service: DashboardService, job_id: str
) -> None:
    """No request leaves the path: the proxy would answer 502."""
    visitor = visit(prefixed_service, key=None)
    visitor.errors.expected_statuses.add(401)
    page = visitor.new_page()
    address = f"{origin}{ROOT}/jobs/{job_id}"
    page.goto(address)
    expect(page).to_have_url(f"{origin}{ROOT}/sign-in?next=%2Fjobs%2F{job_id}")
    page.get_by_label("API key").fill(prefixed_service.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(address)
    for _ in range(2):
        expect(page.get_by_role("heading", level=1)).to_have_text("prefixed")
        expect(page.get_by_role("banner").get_by_role("status")).to_have_text("Live")
        page.reload()
    follow_links(page, origin)


def follow_links(page: Page, origin: str) -> None:
    for name in ("Jobs", "Models", "Operate", "Overview"):
        page.get_by_role("banner").get_by_role("link", name=re.compile(f"^{name}")).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        assert page.url.startswith(f"{origin}{ROOT}")


def test_files_and_documentation_are_below_the_path(
    origin: str, visit: Visit, prefixed_service: DashboardService, job_id: str
) -> None:
    with Distill(f"{origin}{ROOT}", prefixed_service.key) as client:
        client.wait(job_id)
        address = client.sign_in_address()
    token = address.partition("#")[2]
    visitor = visit(prefixed_service, key=None)
    visitor.errors.expected_statuses.add(401)
    page = visitor.new_page()
    open_page(page, f"{origin}{ROOT}/sign-in#{token}")
    open_page(page, f"{origin}{ROOT}/jobs/{job_id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Weights").click()
    assert download.value.path().stat().st_size > 1000
    with page.expect_download() as download:
        page.get_by_role("link", name="report.json").click()
    assert download.value.url.startswith(f"{origin}{ROOT}/v1/jobs/{job_id}/")
    page.goto(f"{origin}{ROOT}/docs")
    expect(page.get_by_text("/v1/jobs/{job_id}").first).to_be_visible()
