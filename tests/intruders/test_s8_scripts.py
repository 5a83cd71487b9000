"""S8: script in names, reports and artifacts never runs in a real browser."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Dialog, Error, Page, Response

from core.store import metrics
from core.store.attempts import Attempt
from tests.api.builders import create_artifact
from tests.api.conftest import KEY
from tests.browser import open_chromium
from tests.builders import create_attempt, create_job, training_body
from tests.intruders.installation import Installation

RAN = "ran"
"""Path that script requests, title that it sets and text that it shows, wherever it runs."""
CALL = f"fetch('/{RAN}');new Image().src='/{RAN}';document.title='{RAN}';alert('{RAN}')"
NAME = f"\"><script>alert('{RAN}')</script><img src=/{RAN} onerror=alert('{RAN}')>"
HTML = (
    "<!doctype html><html><head><title>quiet</title>\n"
    f'<base href="/{RAN}/"><meta http-equiv="refresh" content="0;url=/{RAN}">'
    f'<link rel="stylesheet" href="/{RAN}">\n'
    f'<link rel="prefetch" href="/{RAN}">'
    f'<script>{CALL}</script><script src="/{RAN}"></script></head>\n'
    f'<body onload="{CALL}"><img src=x onerror="{CALL}">'
    f'<svg onload="{CALL}"><script>{CALL}</script></svg>\n'
    f'<iframe srcdoc="<script>parent.{CALL}</script>"></iframe>'
    f'<iframe src="javascript:{CALL}"></iframe>\n'
    f'<object data="data:text/html,<script>{CALL}</script>"></object>'
    f'<details open ontoggle="{CALL}">x</details>\n'
    f'<form id=f action="/{RAN}"><button id=b autofocus onfocus="{CALL}">b</button></form>'
    f'<a id=a href="javascript:{CALL}">a</a>\n'
    f"<style>@import '/{RAN}'; body {{ background: url(/{RAN}) }}</style>"
    "<p id=shown>shown</p></body></html>"
)
SVG = (
    f'<svg xmlns="http://www.w3.org/2000/svg" onload="{CALL}">'
    f'<script>{CALL}</script><a href="javascript:{CALL}">x</a></svg>'
)
XHTML = (
    '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title>'
    f"<script>{CALL}</script></head><body/></html>"
)
XML = (
    f'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="/{RAN}"?>'
    f'<x><script xmlns="http://www.w3.org/1999/xhtml">{CALL}</script></x>'
)
FILES = {
    "page.html": ("text/html", HTML),
    "report.html": ("text/html; charset=utf-8", HTML),
    "picture.svg": ("image/svg+xml", SVG),
    "page.xhtml": ("application/xhtml+xml", XHTML),
    "page.xml": ("text/xml", XML),
    "sniffed": ("application/octet-stream", HTML),
    "text.txt": ("text/plain", HTML),
    "unknown.zzz": ("", HTML),
    "code.js": ("text/javascript", CALL),
    "mail.mht": ("multipart/related", HTML),
}


@dataclass
class Browser:
    """A page of Chromium, and what it has done during one test."""

    page: Page
    urls: list[str] = field(default_factory=list)
    """URLs that it has received a response from."""
    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Errors on its console, such as violations of a page's policy."""

    def on_response(self, response: Response) -> None:
        # A request that the page's policy forbids never leaves the browser, and has no response.
        self.urls.append(response.url)

    def on_dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, url: str) -> str | None:
        """Return the document that is displayed, or None if the response is downloaded."""
        with self.page.expect_event("response") as response:
            try:
                self.page.goto(url, wait_until="load")
            except Error as error:
                if "Download is starting" not in str(error):
                    raise
                return None
        assert response.value.status == 200, response.value.status
        self.page.wait_for_timeout(50)
        return self.page.content()

    def assert_no_script_ran(self) -> None:
        assert [url for url in self.urls if urlsplit(url).path.startswith(f"/{RAN}")] == []
        assert self.dialogs == []
        assert self.page.title() != RAN


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with open_chromium() as browser:
        yield browser.new_page(extra_http_headers={"Authorization": f"Bearer {KEY}"})


@pytest.fixture
def browser(chromium: Page) -> Iterator[Browser]:
    browser = Browser(chromium)
    chromium.on("response", browser.on_response)
    chromium.on("dialog", browser.on_dialog)
    chromium.on("console", browser.on_console)
    yield browser
    chromium.remove_listener("response", browser.on_response)
    chromium.remove_listener("dialog", browser.on_dialog)
    chromium.remove_listener("console", browser.on_console)
    chromium.goto("about:blank")


@pytest.fixture(scope="module")
def attempt(installation: Installation) -> Attempt:
    """An attempt at a job with script in its name, metadata, artifacts and metrics."""
    job = create_job(installation.engine, name=NAME, metadata={"note": NAME[:200]})
    attempt = create_attempt(installation.engine, job)
    for name, (media_type, content) in FILES.items():
        create_artifact(
            installation.engine,
            installation.objects,
            attempt,
            name,
            content.encode(),
            "report",
            media_type=media_type,
        )
    with attempt.fenced_session() as (session, row):
        metrics.record(session, row.id, attempt.number, 1, {NAME[:100]: 1.0})
    return attempt


def test_s8_the_test_page_runs_script_where_no_policy_forbids_it(browser: Browser) -> None:
    """The other tests assert the absence of what is asserted here."""
    browser.page.set_content(HTML)
    browser.page.wait_for_timeout(100)
    assert browser.dialogs
    assert browser.page.title() == RAN


def test_s8_artifacts_of_any_type_are_downloaded_not_displayed(
    installation: Installation, browser: Browser, attempt: Attempt
) -> None:
    for name in FILES:
        url = f"{installation.service.url}/v1/jobs/{attempt.job_id}/artifacts/{name}"
        response = installation.client.get(url)
        assert response.headers["Content-Disposition"].startswith("attachment"), name
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert browser.open(url) is None, name
        browser.assert_no_script_ran()


def test_s8_a_report_with_script_is_displayed_and_runs_nothing(
    installation: Installation, browser: Browser, attempt: Attempt
) -> None:
    document = browser.open(
        f"{installation.service.url}/v1/jobs/{attempt.job_id}/report?format=html"
    )
    assert document is not None
    assert "shown" in document
    assert "<script>" in document
    for selector in ("#a", "#b"):
        with suppress(Error):
            browser.page.locator(selector).click(timeout=300, no_wait_after=True)
    browser.page.wait_for_timeout(100)
    browser.assert_no_script_ran()
    assert any("Content Security Policy" in text or "sandboxed" in text for text in browser.errors)


def test_s8_names_and_metrics_are_displayed_as_text(
    installation: Installation, browser: Browser, attempt: Attempt
) -> None:
    sweep = installation.client.post(
        "/v1/sweeps",
        json={"name": NAME[:200], "base": training_body(), "rows": [{"name": NAME[:100]}]},
    )
    sweep_id = sweep.json()["id"]
    for path in (
        f"/v1/jobs/{attempt.job_id}",
        "/v1/jobs",
        f"/v1/jobs/{attempt.job_id}/metrics",
        f"/v1/jobs/{attempt.job_id}/metrics?format=csv",
        f"/v1/jobs/{attempt.job_id}/events",
        f"/v1/sweeps/{sweep_id}",
        *(f"/v1/sweeps/{sweep_id}/table?format={form}" for form in ("json", "md", "csv")),
        "/v1/audit",
    ):
        browser.open(installation.service.url + path)
        browser.assert_no_script_ran()


def test_s8_an_error_that_repeats_script_runs_nothing(
    installation: Installation, browser: Browser
) -> None:
    for path in (
        f"/v1/jobs/{NAME}",
        f"/<script>{CALL}</script>",
        f"/docs/assets/{NAME}",
        f"/v1/jobs?{NAME}=1",
    ):
        with suppress(Error):
            browser.page.goto(installation.service.url + path)
        browser.page.wait_for_timeout(50)
        browser.assert_no_script_ran()


def test_s8_the_docs_page_ignores_its_query_and_runs_no_script(
    installation: Installation, browser: Browser
) -> None:
    """It loads no URL that its own address names, and script injected into it does not run."""
    browser.page.goto(
        f"{installation.service.url}/docs?url=https://evil.example/{RAN}.json&configUrl=/{RAN}"
        f"#/{RAN}/<img src=x onerror={CALL}>"
    )
    browser.page.get_by_text("/v1/jobs/{job_id}/events").wait_for()
    browser.assert_no_script_ran()
    loaded = [url for url in browser.urls if not url.startswith("data:")]
    assert all(url.startswith(installation.service.url) for url in loaded)
    browser.page.evaluate(
        "const it = document.createElement('script');"
        f" it.textContent = `{CALL}`; document.body.append(it)"
    )
    browser.page.evaluate(
        f"document.body.insertAdjacentHTML('beforeend', `<img src=x onerror=\"{CALL}\">`)"
    )
    browser.page.wait_for_timeout(100)
    browser.assert_no_script_ran()
    assert any("Content Security Policy" in text for text in browser.errors)


def test_s8_no_other_origin_can_frame_or_embed_the_service(installation: Installation) -> None:
    for path in ("/docs", "/v1/jobs", "/none", "/openapi.json"):
        headers = installation.client.get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (
            headers["Cross-Origin-Resource-Policy"]
            == headers["Cross-Origin-Opener-Policy"]
            == "same-origin"
        )
        assert headers["Permissions-Policy"]
        assert "script-src 'unsafe" not in headers["Content-Security-Policy"]
