"""S8: script in names, reports and artifacts never runs in a real browser."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from core.store import metrics
from core.store.attempts import Attempt
from tests.api.builders import create_artifact
from tests.api.conftest import KEY
from tests.builders import create_attempt, create_job, training_body
from tests.intruders.installation import Installation

RAN = "ran"
CALL = f"fetch('/{RAN}');new Image().src='/{RAN}';document.title='{RAN}';alert('{RAN}')"
NAME = f"\"><script>alert('{RAN}')</script><img src=/{RAN} onerror=alert('{RAN}')>"
HTML = f"""<!doctype html><html><head><title>quiet</title>
<base href="/{RAN}/"><meta http-equiv="refresh" content="0;url=/{RAN}"><link rel="stylesheet" href="/{RAN}">
<link rel="prefetch" href="/{RAN}"><script>{CALL}</script><script src="/{RAN}"></script></head>
<body onload="{CALL}"><img src=x onerror="{CALL}"><svg onload="{CALL}"><script>{CALL}</script></svg>
<iframe srcdoc="<script>parent.{CALL}</script>"></iframe><iframe src="javascript:{CALL}"></iframe>
<object data="data:text/html,<script>{CALL}</script>"></object><details open ontoggle="{CALL}">x</details>
<form id=f action="/{RAN}"><button id=b autofocus onfocus="{CALL}">b</button></form><a id=a href="javascript:{CALL}">a</a>
<style>@import '/{RAN}'; body {{ background: url(/{RAN}) }}</style><p id=shown>shown</p></body></html>"""
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{CALL}"><script>{CALL}</script><a href="javascript:{CALL}">x</a></svg>'
XHTML = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title><script>{CALL}</script></head><body/></html>'
XML = f'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="/{RAN}"?><x><script xmlns="http://www.w3.org/1999/xhtml">{CALL}</script></x>'
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
    page: Page
    asked: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def open(self, url: str) -> str | None:
        """What it did with the response: shown, or saved (None)."""
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

    def is_quiet(self) -> None:
        assert [url for url in self.asked if urlsplit(url).path.startswith(f"/{RAN}")] == []
        assert self.dialogs == []
        assert self.page.title() != RAN


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    assert program, "Chromium is missing. Install it with:  apt-get install -y chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-quic"]
        )
        yield browser.new_page(extra_http_headers={"Authorization": f"Bearer {KEY}"})
        browser.close()


@pytest.fixture
def browser(chromium: Page) -> Iterator[Browser]:
    found = Browser(chromium)
    listeners = {
        # What is merely asked for and then refused by the page's policy never leaves the browser: it has no response.
        "response": lambda response: found.asked.append(response.url),
        "dialog": lambda dialog: (found.dialogs.append(dialog.message), dialog.dismiss()),
        "console": lambda message: (
            found.refused.append(message.text) if message.type == "error" else None
        ),
    }
    for event, listener in listeners.items():
        chromium.on(event, listener)  # type: ignore[call-overload]
    yield found
    for event, listener in listeners.items():
        chromium.remove_listener(event, listener)
    chromium.goto("about:blank")


@pytest.fixture(scope="module")
def attempt(installation: Installation) -> Attempt:
    """A job that says script wherever it may say anything."""
    job = create_job(installation.engine, name=NAME, metadata={"note": NAME[:200]})
    found = create_attempt(installation.engine, job)
    for name, (media_type, content) in FILES.items():
        create_artifact(
            installation.engine,
            installation.objects,
            found,
            name,
            content.encode(),
            "report",
            media_type=media_type,
        )
    with found.fenced_session() as (session, row):
        metrics.record(session, row.id, found.number, 1, {NAME[:100]: 1.0})
    return found


def test_s8_the_same_page_runs_where_nobody_forbids_it(browser: Browser) -> None:
    """The other tests look for what is seen here."""
    browser.page.set_content(HTML)
    browser.page.wait_for_timeout(100)
    assert browser.dialogs
    assert browser.page.title() == RAN


def test_s8_an_artifact_of_any_kind_is_saved_not_shown(
    installation: Installation, browser: Browser, attempt: Attempt
) -> None:
    for name in FILES:
        address = f"{installation.service.url}/v1/jobs/{attempt.job_id}/artifacts/{name}"
        response = installation.client.get(address)
        assert response.headers["Content-Disposition"].startswith("attachment"), name
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert browser.open(address) is None, name
        browser.is_quiet()


def test_s8_a_report_that_is_full_of_script_is_shown_and_nothing_of_it_runs(
    installation: Installation, browser: Browser, attempt: Attempt
) -> None:
    shown = browser.open(f"{installation.service.url}/v1/jobs/{attempt.job_id}/report?format=html")
    assert shown is not None
    assert "shown" in shown
    assert "<script>" in shown  # it is all there
    for element in ("#a", "#b"):
        with suppress(Error):
            browser.page.locator(element).click(timeout=300, no_wait_after=True)
    browser.page.wait_for_timeout(100)
    browser.is_quiet()
    assert any("Content Security Policy" in text or "sandboxed" in text for text in browser.refused)


def test_s8_names_and_metrics_opened_in_a_browser_are_only_text(
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
        browser.is_quiet()


def test_s8_an_error_that_repeats_script_is_only_text(
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
        browser.is_quiet()


def test_s8_the_documentation_loads_nothing_that_its_address_asks_for_and_its_policy_is_enforced(
    installation: Installation, browser: Browser
) -> None:
    url = f"{installation.service.url}/docs?url=https://evil.example/{RAN}.json&configUrl=/{RAN}#/{RAN}/<img src=x onerror={CALL}>"
    browser.page.goto(url)
    browser.page.get_by_text("/v1/jobs/{job_id}/events").wait_for()
    browser.is_quiet()
    assert all(
        asked.startswith(installation.service.url)
        for asked in browser.asked
        if not asked.startswith("data:")
    )
    inject = f"const it = document.createElement('script'); it.textContent = `{CALL}`; document.body.append(it)"
    browser.page.evaluate(inject)
    browser.page.evaluate(
        f"document.body.insertAdjacentHTML('beforeend', `<img src=x onerror=\"{CALL}\">`)"
    )
    browser.page.wait_for_timeout(100)
    browser.is_quiet()
    assert any("Content Security Policy" in text for text in browser.refused)


def test_s8_no_page_of_another_origin_can_frame_or_embed_the_service(
    installation: Installation,
) -> None:
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
