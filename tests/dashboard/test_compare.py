"""Jobs beside each other, in a real browser."""

import re

from playwright.sync_api import Page, expect

from tests.dashboard.browsing import open_page
from tests.dashboard.services import SeededService


def test_comparison_says_what_it_found(page: Page, service: SeededService) -> None:
    """The threat model stands above the table, and a verdict in words beside each difference."""
    open_page(page, f"/compare?jobs={service.teacher.id},{service.student.id}")
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    expect(page.get_by_text("Each pixel may change by at most").first).to_be_visible()
    table = page.get_by_role("table", name=re.compile("^Results, compared to"))
    expect(table).to_contain_text("base of the comparison")
    expect(table).to_contain_text(re.compile("higher|lower|not distinguishable"))
    expect(page.get_by_role("heading", name="What differs")).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()


def test_another_base_stands_in_the_address(page: Page, service: SeededService) -> None:
    ids = f"{service.teacher.id},{service.student.id}"
    open_page(page, f"/compare?jobs={ids}")
    page.get_by_label("Base").first.select_option(service.student.id)
    expect(page).to_have_url(re.compile(f"base={service.student.id}"))
    row = page.locator("tr", has_text="base of the comparison").first
    expect(row.get_by_role("link")).to_have_attribute(
        "href", re.compile(f"/jobs/{service.student.id}$")
    )


def test_classes_are_read_when_they_are_opened(page: Page, service: SeededService) -> None:
    open_page(page, f"/compare?jobs={service.teacher.id},{service.student.id}")
    section = page.get_by_role("region", name="By class").first
    section.get_by_role("button", name="Show").click()
    expect(section.get_by_role("table")).to_be_visible()


def test_nothing_selected_says_how_to_select(page: Page, service: SeededService) -> None:
    open_page(page, "/compare")
    expect(page.get_by_text("Tick two jobs or more")).to_be_visible()
    expect(page.get_by_role("link", name="Select jobs")).to_be_visible()
