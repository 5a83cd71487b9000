"""The list of jobs: filters, order and selection stand in the address; what can be done with it."""

import re

from playwright.sync_api import Page, expect

from tests.dashboard.browsing import PHONE, open_page
from tests.dashboard.services import SeededService


def test_filters_stand_in_the_address(page: Page, service: SeededService) -> None:
    """A filter that the form sets is REST's own parameter, and goes with its chip."""
    open_page(page, "/jobs")
    page.get_by_role("button", name="Add filter").click()
    page.get_by_role("dialog").get_by_label("Failed", exact=True).check()
    page.get_by_role("button", name="Show jobs").click()
    expect(page).to_have_url(re.compile(r"/jobs\?status=failed$"))
    expect(page.get_by_role("link", name="digits-teacher")).to_have_count(0)
    for row in page.locator("tbody tr").all():
        expect(row).to_contain_text("Failed")
    page.get_by_role("button", name="Remove filter: Status failed").click()
    expect(page).to_have_url(re.compile(r"/jobs$"))
    expect(page.get_by_role("link", name="digits-teacher")).to_be_visible()


def test_text_and_order_survive_a_reload(page: Page, service: SeededService) -> None:
    open_page(page, "/jobs")
    page.get_by_label("Search jobs").fill("digits-student")
    expect(page).to_have_url(re.compile(r"q=digits-student"))
    page.get_by_role("button", name="Created").click()
    expect(page).to_have_url(re.compile(r"sort=created_at"))
    page.reload()
    expect(page.get_by_label("Search jobs")).to_have_value("digits-student")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_selected_jobs_are_compared(page: Page, service: SeededService) -> None:
    """Two check boxes and the bar's filled button lead to both jobs beside each other."""
    open_page(page, "/jobs?q=digits")
    page.get_by_label("Select digits-teacher").check()
    page.get_by_label("Select digits-student").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()


def test_deleting_names_its_object(page: Page, service: SeededService) -> None:
    """What would be deleted is said first; Keep deletes nothing."""
    open_page(page, "/jobs?q=digits")
    page.get_by_label("Select digits-student").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("alertdialog").or_(page.get_by_role("dialog"))
    expect(dialog.get_by_role("heading")).to_have_text("Delete digits-student and its files?")
    dialog.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("link", name="digits-student")).to_be_visible()


def test_phone_has_a_list_with_the_deciding_number(page: Page, service: SeededService) -> None:
    page.set_viewport_size({"width": PHONE, "height": 844})
    open_page(page, "/jobs?q=digits-teacher")
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("Succeeded")
    expect(row).to_contain_text(re.compile(r"\d+\.\d\d"))
    expect(row.get_by_text("Held-out robust")).to_have_count(0)
