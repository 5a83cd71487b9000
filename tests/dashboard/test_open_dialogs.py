"""What opens over a page, light and dark, on a desk and on a phone: axe finds nothing in it."""

from dataclasses import dataclass
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browsing import PHONE, PageErrors, open_page
from tests.dashboard.services import SeededService
from tests.dashboard.test_every_page import sideways_scroll, violations


@dataclass(frozen=True)
class Opening:
    """What has to be pressed on which page, and what it opens."""

    path: str
    button: str
    role: Literal["dialog", "menu"] = "dialog"


OPENINGS = {
    "filters": Opening("/jobs", "Add filter"),
    "columns": Opening("/jobs", "Columns"),
    "delete a job": Opening("failed job", "Delete"),
    "start a job": Opening("/submit", "Start from an example"),
    "menu of a model": Opening("model", "More actions", "menu"),
    "upload a model": Opening("/models", "Upload"),
    "import a data set": Opening("/datasets", "Import"),
    "menu of a data set": Opening("dataset", "More actions", "menu"),
    "create a key": Opening("/operate", "Create a key"),
    "create a project": Opening("/operate", "Create a project"),
}


@pytest.mark.parametrize("name", OPENINGS)
def test_axe_finds_nothing_in_it(
    page: Page, service: SeededService, axe_source: str, name: str
) -> None:
    opening = OPENINGS[name]
    for width in (1280, PHONE):
        page.set_viewport_size({"width": width, "height": 844})
        open_page(page, service.pages().get(opening.path, opening.path))
        page.get_by_role("button", name=opening.button, exact=True).first.click()
        expect(page.get_by_role(opening.role)).to_be_visible()
        assert violations(page, axe_source) == {}
        assert sideways_scroll(page) == 0


def test_axe_finds_nothing_while_jobs_are_selected(
    page: Page, service: SeededService, axe_source: str
) -> None:
    open_page(page, "/jobs?q=digits")
    page.get_by_label("Select digits-student").check()
    assert violations(page, axe_source) == {}
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page, axe_source) == {}


def test_axe_finds_nothing_where_a_field_is_wrong(
    page: Page, page_errors: PageErrors, axe_source: str
) -> None:
    page_errors.expected_statuses.add(422)
    open_page(page, "/submit")
    page.locator('[data-field="adversary.steps"]').fill("0")
    expect(page.get_by_text("Must be at least 1, not 0.", exact=True)).to_be_visible()
    assert violations(page, axe_source) == {}
