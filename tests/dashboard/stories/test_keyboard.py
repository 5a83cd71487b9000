"""All that can be done with a mouse can be done by keyboard alone."""

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browsing import open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService, SeededService
from tests.dashboard.stories.keyboard import Keyboard
from tests.dashboard.stories.test_mouse import TRAINING_MS, field
from tests.dashboard.test_every_page import SEEDED


def test_stranger_gets_a_student_by_keyboard(
    visit: Visit, own_service: DashboardService, tmp_path: Path
) -> None:
    """Sign in, submit, watch, clone, compare, download. Of a page only its address is given."""
    visitor = visit(own_service, key=None)
    visitor.errors.expected_statuses |= {401, 422}
    page = visitor.new_page()
    page.goto("/sign-in")
    keyboard = Keyboard(page)
    keyboard.write(page.get_by_label("API key"), own_service.key)
    page.keyboard.press("Enter")
    keyboard.press(page.get_by_role("link", name="New job"))
    choose_an_example(keyboard)
    read_the_request(keyboard)
    for path, text in (("schedule.epochs", "2"), ("adversary.steps", "2"), ("student.width", "4")):
        keyboard.write(field(page, path), text)
    submit(keyboard)

    keyboard.press(page.get_by_role("link", name="Clone"))
    keyboard.write(page.get_by_role("textbox", name="Name", exact=True), "shorter")
    keyboard.write(field(page, "schedule.epochs"), "1")
    clone_id = submit(keyboard)

    keyboard.press(page.get_by_role("link", name="Jobs", exact=True).first)
    keyboard.press(page.get_by_label("Select digits-teacher"), "Space")
    keyboard.press(page.get_by_label("Select shorter"), "Space")
    keyboard.press(page.get_by_role("button", name="Compare", exact=True))
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    keyboard.press(page.get_by_role("link", name="shorter"))
    expect(page).to_have_url(re.compile(f"/jobs/{clone_id}$"))
    with page.expect_download() as download:
        keyboard.press(page.get_by_role("link", name="Weights"))
    download.value.save_as(tmp_path / "student")
    sha256 = hashlib.sha256((tmp_path / "student").read_bytes()).hexdigest()
    row = page.get_by_role("row", name=re.compile("best.safetensors"))
    assert row.get_by_title(sha256).count() == 1
    rename_the_model(keyboard)


def choose_an_example(keyboard: Keyboard) -> None:
    """A dialog has the focus, gives it back on Escape, and is left by what is chosen in it."""
    page = keyboard.page
    button = page.get_by_role("button", name="Start from an example")
    keyboard.press(button)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("link").first).to_be_visible()
    for _ in range(60):
        keyboard.tab()
        assert dialog.evaluate("(element) => element.contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    keyboard.press(dialog.get_by_role("link").first)
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile("example=digits-teacher"))


def read_the_request(keyboard: Keyboard) -> None:
    """Arrows move between tabs, and Tab leads on to what they show."""
    page = keyboard.page
    keyboard.press(page.get_by_role("tab", name="YAML"), "ArrowRight")
    expect(page.get_by_role("tab", name="curl")).to_be_focused()
    expect(page.get_by_role("region", name="The request by curl")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_label("The job as YAML")).to_be_visible()


def submit(keyboard: Keyboard) -> str:
    """Submit, wait for the end of the job, and return its id."""
    page = keyboard.page
    button = page.get_by_role("button", name="Submit", exact=True)
    expect(button).to_be_enabled()
    keyboard.press(button)
    page.wait_for_url("**/jobs/job_*")
    # The new page's heading has the focus: Tab goes on from there.
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator("main header").first).to_contain_text("Succeeded", timeout=TRAINING_MS)
    return page.url.rpartition("/")[2]


def rename_the_model(keyboard: Keyboard) -> None:
    """A menu is opened, and walked through by arrows."""
    page = keyboard.page
    keyboard.press(page.get_by_role("link", name="Models", exact=True))
    keyboard.press(page.get_by_role("main").get_by_role("link", name=re.compile("shorter")))
    more = page.get_by_role("button", name="More actions")
    keyboard.press(more)
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    keyboard.write(dialog.get_by_label("Name"), "renamed")
    keyboard.press(dialog.get_by_role("button", name="Rename", exact=True))
    expect(page.get_by_role("heading", level=1)).to_have_text("renamed")


@pytest.mark.parametrize("name", SEEDED)
def test_tab_walks_around_the_page(page: Page, service: SeededService, name: str) -> None:
    """It reaches all that can be used, shows where it is, and is caught nowhere."""
    open_page(page, service.pages().get(name, name))
    assert Keyboard(page).walk() > 5


def test_skip_link_leads_past_the_navigation(page: Page, service: SeededService) -> None:
    open_page(page, "/jobs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    Keyboard(page).tab()
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
