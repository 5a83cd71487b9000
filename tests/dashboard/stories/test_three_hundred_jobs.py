"""Three hundred jobs: pages, a selection over pages, many at once."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from core.store.database.engine import make_engine
from tests.builders import create_job
from tests.dashboard.browsing import open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService
from tests.measured_jobs import PGD, accuracy, finish_job

FINISHED = 260
QUEUED = 40
ALL = FINISHED + QUEUED
MOST_RANKED = 200


@pytest.fixture(scope="module")
def busy_service(queueing_service: DashboardService) -> DashboardService:
    """``FINISHED`` jobs, each with an accuracy of its own, and ``QUEUED`` ones after them."""
    engine = make_engine(f"sqlite:///{queueing_service.embedded.data}/distill.db")
    for number in range(FINISHED):
        results = [accuracy("clean", range(330)), accuracy(PGD, range(60 + number))]
        finish_job(engine, *results, name=f"run-{number:03}", seed=number)
    for number in range(FINISHED, ALL):
        create_job(engine, name=f"run-{number:03}", seed=number)
    engine.dispose()
    return queueing_service


@pytest.fixture
def jobs_page(visit: Visit, busy_service: DashboardService) -> Page:
    page = visit(busy_service).new_page()
    open_page(page, "/jobs")
    return page


def names(page: Page) -> set[str]:
    return set(page.locator("tbody th").all_inner_texts())


def test_pages_show_every_job_once(jobs_page: Page) -> None:
    rows = jobs_page.locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(jobs_page.get_by_text(f"50 of {ALL}", exact=True)).to_be_visible()
    jobs_page.get_by_role("combobox", name="Rows").select_option("200")
    expect(rows).to_have_count(200)
    first_names = names(jobs_page)
    jobs_page.get_by_role("button", name="Next page").click()
    expect(rows).to_have_count(ALL - 200)
    assert len(first_names | names(jobs_page)) == ALL
    expect(jobs_page.get_by_role("button", name="Next page")).to_have_count(0)
    jobs_page.go_back()
    expect(rows).to_have_count(200)
    assert names(jobs_page) == first_names


def test_selection_of_all_pages_is_compared(jobs_page: Page) -> None:
    jobs_page.get_by_role("combobox", name="Rows").select_option("200")
    rows = jobs_page.locator("tbody tr")
    expect(rows).to_have_count(200)
    jobs_page.get_by_label("Select all rows").check()
    jobs_page.get_by_role("button", name="Next page").click()
    expect(rows).to_have_count(ALL - 200)
    jobs_page.get_by_label("Select all rows").check()
    selection = jobs_page.get_by_role("region", name="Selection")
    expect(selection).to_contain_text(f"{ALL} selected")
    selection.get_by_role("button", name="Compare").click()
    expect(jobs_page.get_by_role("heading", name=f"Compare {ALL} runs")).to_be_visible()
    answer = jobs_page.locator("main header p").filter(has_text=f"the most of {FINISHED}")
    expect(answer).to_contain_text(f"seed {FINISHED - 1}")


CLICK_QUICKLY = """async (elements) => {
  for (const element of elements) {
    element.click();
    await new Promise((resolve) => setTimeout(resolve));
  }
}"""


def test_clicks_that_follow_each_other_at_once_all_count(jobs_page: Page) -> None:
    """Also where the page is slower than the hand."""
    slow_down(jobs_page)
    boxes = jobs_page.locator("tbody input[type=checkbox]").element_handles()[:8]
    next_page = jobs_page.get_by_role("button", name="Next page").element_handle()
    jobs_page.evaluate(CLICK_QUICKLY, [*boxes, next_page])
    expect(jobs_page.get_by_role("region", name="Selection")).to_contain_text("8 selected")
    expect(jobs_page.get_by_role("button", name="First page")).to_be_visible()
    address = parse_qs(urlsplit(jobs_page.url).query)
    assert len(address["selected"][0].split(",")) == len(boxes)
    assert "after" in address


def slow_down(page: Page) -> None:
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 10})


def test_many_are_cancelled_at_once(jobs_page: Page, busy_service: DashboardService) -> None:
    open_page(jobs_page, "/jobs?status=queued")
    expect(jobs_page.locator("tbody tr")).to_have_count(QUEUED)
    jobs_page.get_by_label("Select all rows").check()
    jobs_page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = jobs_page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(f"Cancel {QUEUED} jobs?")
    dialog.get_by_role("button", name="Cancel them").click()
    expect(jobs_page.get_by_text(f"{QUEUED} jobs were cancelled.")).to_be_visible()
    expect(jobs_page.get_by_text("No job passes these filters").first).to_be_visible()
    with busy_service.embedded.client() as client:
        assert not list(client.jobs(status="queued"))
        assert len(list(client.jobs(status="cancelled"))) == QUEUED


def test_ranking_shows_the_best_first(visit: Visit, busy_service: DashboardService) -> None:
    page = visit(busy_service).new_page()
    open_page(page, "/models")
    table = page.get_by_role("table", name=re.compile("^Models on digits"))
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(10)
    expect(rows.first).to_contain_text(f"run-{FINISHED - 1}")
    page.get_by_role("button", name=f"{MOST_RANKED - 10} more").click()
    expect(rows).to_have_count(MOST_RANKED)
    expect(page.get_by_text(f"The service ranks the best {MOST_RANKED} only.")).to_be_visible()
