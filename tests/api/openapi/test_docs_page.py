"""The documentation page, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.api.conftest import Service
from tests.browser import open_chromium


@pytest.fixture
def page() -> Iterator[Page]:
    with open_chromium() as browser:
        yield browser.new_page()


def test_page_shows_every_resource_offline(service: Service, page: Page) -> None:
    """It asks no other server for anything, and reports no error."""
    urls: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.goto(f"{service.url}/docs")
    page.get_by_text("/v1/jobs/{job_id}/events").wait_for()
    text = page.inner_text("body")
    for resource in ("jobs", "models", "datasets", "architectures", "methods", "keys"):
        assert f"/v1/{resource}" in text
    assert all(address.startswith((service.url, "data:")) for address in urls)
    assert errors == []
