"""A stranger with a mouse: from the printed address to weights whose hash is right."""

import hashlib
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService
from tests.servers import wait_until

TRAINING_MS = 120_000


def test_stranger_gets_a_student_by_mouse(
    visit: Visit, own_service: DashboardService, tmp_path: Path
) -> None:
    """Sign in, submit, watch, clone, compare, download; nothing is typed into the address bar."""
    visitor = visit(own_service, key=None)
    visitor.errors.expected_statuses |= {401, 422}
    page = visitor.new_page()
    page.goto(printed_address(own_service))
    page.get_by_role("link", name="Start from an example").click()
    shorten(page)
    teacher_id = submit(page)
    watch_to_its_end(page)

    page.get_by_role("link", name="Clone").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("shorter")
    field(page, "schedule.epochs").fill("1")
    clone_id = submit(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("shorter")
    watch_to_its_end(page)

    page.get_by_role("link", name="Compare", exact=True).last.click()
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    expect(page).to_have_url(re.compile(f"jobs={teacher_id},{clone_id}"))
    differences = page.get_by_role("region", name="What differs")
    expect(
        differences.get_by_role("row", name=re.compile("epochs", re.IGNORECASE))
    ).to_contain_text("2")

    page.get_by_role("link", name="shorter").first.click()
    download_weights(page, own_service, clone_id, tmp_path)


def printed_address(service: DashboardService) -> str:
    """Return the address that the command prints, which signs in once."""
    output = service.embedded.output
    wait_until(lambda: "#token=" in output.read_text(), 10, "the sign-in address")
    return output.read_text().rpartition(" ")[2].strip()


def field(page: Page, path: str) -> Locator:
    return page.locator(f'[data-field="{path}"]')


def shorten(page: Page) -> None:
    """Make the example one that trains in seconds."""
    field(page, "schedule.epochs").fill("2")
    field(page, "adversary.steps").fill("2")
    field(page, "student.width").fill("4")


def submit(page: Page) -> str:
    """Press the button, and return the id of the job whose page is opened."""
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url("**/jobs/job_*")
    return page.url.rpartition("/")[2]


def watch_to_its_end(page: Page) -> None:
    """See it run and succeed, without a reload."""
    page.evaluate("window.neverReloaded = true")
    head = page.locator("main header").first
    expect(head).to_contain_text("Running", timeout=TRAINING_MS)
    expect(head).to_contain_text("Succeeded", timeout=TRAINING_MS)
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    assert page.evaluate("window.neverReloaded")


def download_weights(page: Page, service: DashboardService, job_id: str, folder: Path) -> None:
    """Download the student, and compare its hash with the page's and with REST's."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Weights").click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    row = page.get_by_role("row", name=re.compile("best.safetensors"))
    assert row.get_by_title(sha256).count() == 1
    with service.embedded.client() as client:
        assert [
            artifact.sha256
            for artifact in client.artifacts(job_id)
            if artifact.name == "best.safetensors"
        ] == [sha256]
