"""The service goes away and comes back: the page says so calmly, and misses nothing."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from core.store.database.engine import make_engine
from tests.builders import create_job
from tests.dashboard.browsing import open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService
from tests.servers import wait_until

RESTART_MS = 60_000
CONNECTION_FAILURES = {"net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING"}


def test_nothing_is_missed_while_the_service_is_away(
    visit: Visit, queueing_service: DashboardService
) -> None:
    visitor = visit(queueing_service)
    page = visitor.new_page()
    open_page(page, "/jobs")
    mark = live_mark(page)
    expect(mark).to_have_text("Live")
    visitor.errors.expected_failures |= CONNECTION_FAILURES
    with api_killed(queueing_service):
        expect(mark).to_have_text(re.compile(r"^Reconnecting, data of \d\d:\d\d:\d\d$"))
        # What was there stays, and nothing covers it.
        expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("dialog")).to_have_count(0)
        submit_behind_its_back(queueing_service, "meanwhile")
    expect(mark).to_have_text("Live", timeout=RESTART_MS)
    expect(page.get_by_role("row", name=re.compile("meanwhile"))).to_be_visible()


def live_mark(page: Page) -> Locator:
    return page.get_by_role("banner").get_by_role("status")


@contextmanager
def api_killed(service: DashboardService) -> Iterator[None]:
    """End the API; the process that would start it again waits until the context is left."""
    process = service.embedded.process
    api = service.embedded.children()["api"]
    process.send_signal(signal.SIGSTOP)
    try:
        api.kill()
        wait_until(lambda: api.status() == "zombie", 10, "the end of the API")
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def submit_behind_its_back(service: DashboardService, name: str) -> None:
    """Insert a job without the API, as one of its other processes would."""
    engine = make_engine(f"sqlite:///{service.embedded.data}/distill.db")
    create_job(engine, name=name)
    engine.dispose()
