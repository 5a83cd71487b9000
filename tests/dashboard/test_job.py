"""The page of one job: what it says, and what can be done from it."""

import re

from playwright.sync_api import Page, expect

from tests.builders import training_body
from tests.dashboard.browsing import delay_deletions, open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService, SeededService


def test_a_finished_job_says_how_robust_it_is(page: Page, service: SeededService) -> None:
    page.goto(f"/jobs/{service.student.id}")
    answer = page.locator("header p", has_text="The student keeps")
    expect(answer).to_contain_text(re.compile(r"[\d.]+\s% under .+ at L∞.0\.1 \([\d.]+–[\d.]+\)"))
    # The threat model stands above the first robust number.
    threat = page.get_by_text("Each pixel may change by at most").bounding_box()
    results = page.get_by_role("heading", name="Results").bounding_box()
    assert threat is not None
    assert results is not None
    assert threat["y"] < results["y"]
    expect(page.get_by_role("heading", name="Before you quote these numbers")).to_be_visible()


def test_weights_have_the_hash_that_the_page_shows(page: Page, service: SeededService) -> None:
    page.goto(f"/jobs/{service.student.id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Weights").click()
    assert download.value.suggested_filename.endswith("best.safetensors")
    row = page.get_by_role("row", name=re.compile("best.safetensors"))
    shown = row.locator("[title]").last.get_attribute("title")
    response = page.request.get(f"/v1/jobs/{service.student.id}/artifacts?kind=weights")
    hashes = {file["name"]: file["sha256"] for file in response.json()["data"]}
    assert shown == hashes["best.safetensors"]


def test_the_axis_stays_in_the_address(page: Page, service: SeededService) -> None:
    page.goto(f"/jobs/{service.student.id}?curves=raw&x=step")
    expect(page.get_by_label("Raw")).to_be_checked()
    expect(page.get_by_label("Step", exact=True)).to_be_checked()
    page.get_by_role("group", name="Horizontal axis").get_by_text("Epoch").click()
    expect(page).not_to_have_url(re.compile("x=step"))


def test_the_log_of_a_finished_job_is_shown(page: Page, service: SeededService) -> None:
    page.goto(f"/jobs/{service.student.id}")
    expect(page.get_by_role("log")).to_contain_text("attempt ended; the job is succeeded")


def test_a_failed_job_says_why(page: Page, service: SeededService) -> None:
    page.goto(f"/jobs/{service.contents.failed_id}")
    expect(page.locator("header p", has_text="Failed")).to_be_visible()
    expect(page.get_by_role("link", name="Retry with changes")).to_be_visible()


def test_a_deleted_job_is_restored_from_its_page(
    visit: Visit, scratch_service: DashboardService
) -> None:
    with scratch_service.embedded.client() as client:
        job = client.submit(training_body(name="regretted job"))
        client.cancel(job.id)
        client.wait(job.id)
    page = visit(scratch_service).new_page()
    delay_deletions(page)
    open_page(page, f"/jobs/{job.id}")
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Delete regretted job and its files?")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_visible()
