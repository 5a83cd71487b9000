"""What other people do is seen at once, without a reload, and without asking for it."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect
from sqlalchemy import Engine

from core.store import jobs, project_events
from core.store.attempts import Attempt
from core.store.database.engine import make_engine, read_session
from core.store.database.tables import DEFAULT_PROJECT
from distill_client import Distill
from tests.builders import create_attempt, start_phase, training_body
from tests.dashboard.browsing import SETTLING_SECONDS, PageErrors, open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService

STILL_MS = 4000
LONG_LEASE_SECONDS = 600.0


@pytest.fixture
def other(queueing_service: DashboardService) -> Iterator[Distill]:
    """Another person, who uses REST."""
    with queueing_service.embedded.client() as client:
        yield client


@pytest.fixture
def engine(queueing_service: DashboardService) -> Iterator[Engine]:
    """The service's own database, for what a worker writes."""
    engine = make_engine(f"sqlite:///{queueing_service.embedded.data}/distill.db")
    yield engine
    engine.dispose()


@pytest.fixture
def watched(visit: Visit, queueing_service: DashboardService) -> Iterator[Page]:
    """A page that may not be loaded a second time."""
    page = visit(queueing_service).new_page()
    loads: list[Request] = []
    page.on("request", lambda request: loads.append(request) if is_load(request) else None)
    yield page
    assert len(loads) <= 1


def is_load(request: Request) -> bool:
    return request.is_navigation_request()


def begin_training(engine: Engine, job_id: str) -> Attempt:
    """Claim the job as a worker does, and begin with its training."""
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, job_id)
    attempt = create_attempt(engine, job, lease_seconds=LONG_LEASE_SECONDS)
    start_phase(attempt, "training")
    return attempt


def requests_of_a_while(page: Page, requests: list[str]) -> int:
    """Return the number of requests that the page sends in ``STILL_MS``, while nothing happens."""
    before = len(requests)
    page.wait_for_timeout(STILL_MS)
    return len(requests) - before


def test_list_follows_what_others_do(watched: Page, other: Distill) -> None:
    open_page(watched, "/jobs?q=follow")
    expect(watched.get_by_text("No job passes these filters").first).to_be_visible()
    job = other.submit(training_body(name="follow"))
    table = watched.get_by_role("table", name="Jobs", exact=True)
    row = table.get_by_role("row", name=re.compile("follow"))
    expect(row).to_contain_text("Queued")
    other.update_job(job.id, {"name": "followed"})
    expect(watched.get_by_role("link", name="followed")).to_be_visible()
    other.cancel(job.id)
    expect(row).to_contain_text("Cancelled")
    other.delete(job.id)
    expect(row).to_have_count(0)


def test_page_of_a_job_follows_what_others_do(
    watched: Page, other: Distill, engine: Engine
) -> None:
    job = other.submit(training_body(name="watched"))
    open_page(watched, f"/jobs/{job.id}")
    head = watched.locator("main header").first
    expect(head).to_contain_text("Queued")
    other.update_job(job.id, {"name": "renamed by another"})
    expect(head.get_by_role("heading")).to_have_text("renamed by another")
    begin_training(engine, job.id)
    expect(head).to_contain_text("Running")
    other.cancel(job.id)
    expect(head).to_contain_text("Cancelling")


def test_deleted_job_is_not_shown_any_longer(
    watched: Page, other: Distill, page_errors: PageErrors
) -> None:
    page_errors.expected_statuses.add(404)
    job = other.submit(training_body(name="soon gone"))
    other.cancel(job.id)
    open_page(watched, f"/jobs/{job.id}")
    expect(watched.get_by_role("heading", name="soon gone")).to_be_visible()
    other.delete(job.id)
    expect(watched.get_by_role("heading", name="Not found")).to_be_visible()


def test_overview_follows_what_others_do(watched: Page, other: Distill, engine: Engine) -> None:
    open_page(watched, "/")
    queue = watched.get_by_role("region", name="Queue")
    job = other.submit(training_body(name="passes through"))
    expect(queue).to_contain_text("passes through")
    attempt = begin_training(engine, job.id)
    running = watched.get_by_role("region", name="Running").get_by_role("article")
    card = running.filter(has_text="passes through")
    expect(card).to_be_visible()
    with attempt.fenced_session() as (session, row):
        row.progress = {"step": 3, "of": 4, "epoch": 1, "epochs": 1}
        project_events.record_job(session, row, "progress")
    expect(card.get_by_role("progressbar", name="3 of 4 steps")).to_be_visible()
    other.cancel(job.id)
    expect(card).to_contain_text("Cancelling")


@pytest.mark.parametrize("path", ["/", "/jobs", "job"])
def test_still_page_sends_no_request(watched: Page, other: Distill, path: str) -> None:
    job = other.submit(training_body(name="stays queued"))
    open_page(watched, f"/jobs/{job.id}" if path == "job" else path)
    requests: list[str] = []
    watched.on("request", lambda request: requests.append(request.url))
    # The beginning of the stream makes everything out of date, once.
    deadline = time.monotonic() + SETTLING_SECONDS
    while requests_of_a_while(watched, requests):
        assert time.monotonic() < deadline, requests
    # The page is not merely dead.
    with watched.expect_request("**/v1/jobs**"):
        other.cancel(job.id)
