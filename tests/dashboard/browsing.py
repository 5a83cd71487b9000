"""Pages in a real Chromium, and everything that went wrong in them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

from tests.dashboard.services import DashboardService

WIDE = 1280
PHONE = 390
QUIET_SECONDS = 0.15
"""A page is complete when for so long no request has been open but the streams."""
SETTLING_SECONDS = 30.0
_STREAMS = ("/events", "/logs")
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  reportViolation(`${event.violatedDirective} forbids ${event.blockedURI} (${event.sample})`));
"""
_DELAY_DELETIONS = """
const send = fetch;
globalThis.fetch = async (request, ...rest) => {
  const response = await send(request, ...rest);
  if (request.method === "DELETE") await new Promise((resolve) => setTimeout(resolve, 1500));
  return response;
};
"""
"""Longer than events wait for each other."""


@dataclass
class PageErrors:
    """Console errors, exceptions, CSP violations and failed requests of the pages of a test.

    A test that asks for what does not exist adds the status to ``expected_statuses``.
    """

    messages: list[str] = field(default_factory=list)
    expected_statuses: set[int] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)
    """Of all responses."""
    expected_failures: set[str] = field(default_factory=lambda: {"net::ERR_ABORTED"})
    """Of requests without a response. Streams, and what a page no longer needs, end with the page.
    """

    def unexpected(self) -> list[str]:
        return list(dict.fromkeys(self.messages))

    def watch(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.messages.append(f"exception: {error}"))
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def on_violation(self, _source: object, violation: str) -> None:
        self.messages.append(f"CSP: {violation}")

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium writes one line more about each response that is an error.
        is_of_response = message.text.startswith("Failed to load resource")
        if message.type in {"error", "warning"} and not is_of_response:
            self.messages.append(f"console: {message.text}")

    def _on_failure(self, request: Request) -> None:
        if request.failure not in self.expected_failures:
            self.messages.append(f"request: {request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        self.statuses.add(response.status)
        if response.status >= 400 and response.status not in self.expected_statuses:
            request = response.request
            self.messages.append(f"response: {request.method} {request.url}: {response.status}")


class Visitor:
    """One person's browser: its cookies, its pages, and what went wrong in them."""

    def __init__(self, browser: Browser, errors: PageErrors, service: DashboardService) -> None:
        self.errors = errors
        self.service = service
        self.context: BrowserContext = browser.new_context(
            base_url=service.url, viewport={"width": WIDE, "height": 900}, reduced_motion="reduce"
        )
        self.context.expose_binding("reportViolation", errors.on_violation)
        self.context.add_init_script(_REPORT_VIOLATIONS)

    def sign_in(self, key: str | None = None) -> None:
        """Begin a session with the key, by default the administrator's."""
        body = {"key": key or self.service.key}
        headers = {"Origin": self.service.url}
        response = self.context.request.post("/v1/session", data=body, headers=headers)
        assert response.status == 201, response.text()

    def new_page(self) -> Page:
        page = self.context.new_page()
        self.errors.watch(page)
        return page


def open_page(page: Page, path: str) -> None:
    """Open the path, and wait until the page has all of its data."""
    with _open_requests(page) as requests:
        page.goto(path)
        page.locator("h1, [role=alert]").first.wait_for()
        _settle(page, requests)


def delay_deletions(page: Page) -> None:
    """Let the event of a deletion come before its response, as on a slow network.

    Holds for what is loaded after it.
    """
    page.add_init_script(_DELAY_DELETIONS)


@contextmanager
def _open_requests(page: Page) -> Iterator[set[Request]]:
    """Give the requests that are under way, without the streams, which do not end."""
    requests: set[Request] = set()

    def begin(request: Request) -> None:
        if not urlsplit(request.url).path.endswith(_STREAMS):
            requests.add(request)

    def end(request: Request) -> None:
        requests.discard(request)

    handlers: dict[Any, Callable[[Request], None]] = {
        "request": begin,
        "requestfinished": end,
        "requestfailed": end,
    }
    for event, handler in handlers.items():
        page.on(event, handler)
    yield requests
    for event, handler in handlers.items():
        page.remove_listener(event, handler)


def _settle(page: Page, requests: set[Request]) -> None:
    deadline = time.monotonic() + SETTLING_SECONDS
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS:
        assert time.monotonic() < deadline, f"still open: {[item.url for item in requests]}"
        page.wait_for_timeout(25)
        if requests or page.locator("[aria-busy=true]").count():
            quiet_since = time.monotonic()
