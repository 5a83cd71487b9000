"""Every page, with contents and without, on a desk and on a phone, light and dark.

``visit`` fails each of these tests on console errors, CSP violations and failed requests.
"""

from typing import Any

import pytest
from playwright.sync_api import Page

from core.store.database.tables import DIGITS_ID
from tests.dashboard.browsing import PHONE, PageErrors, open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import HOSTILE_KEY, DashboardService, SeededService

LISTS = ("/", "/jobs", "/compare", "/sweeps", "/models", "/datasets", "/submit", "/operate")
"""Pages that need no id."""
OF_EVERYBODY = (*LISTS, f"/datasets/{DIGITS_ID}")
ITEMS = ("job", "failed job", "compare", "sweep", "model", "dataset")
"""Pages of one thing each, by their names in ``Contents.pages``."""
THAT_RAN = ("trained teacher", "distilled student", "distilled model", "two that ran")
SEEDED = (*OF_EVERYBODY, *ITEMS, *THAT_RAN)
SCROLL_SIDEWAYS = """() => {
  scrollTo({ left: 1e6, behavior: "instant" });
  const pixels = Math.round(scrollX);
  scrollTo({ left: 0, behavior: "instant" });
  return pixels;
}"""
RUN_AXE = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false });
  return violations.map(({ id, help, nodes }) =>
    [id, help, ...nodes.slice(0, 5).map((node) => node.target.join(" "))].join("; "));
}"""


@pytest.mark.parametrize("name", SEEDED)
def test_axe_finds_nothing(
    visit: Visit, service: SeededService, axe_source: str, name: str
) -> None:
    page = visit(service).new_page()
    open_page(page, service.pages().get(name, name))
    assert violations(page, axe_source) == {}


@pytest.mark.parametrize("path", OF_EVERYBODY)
def test_axe_finds_nothing_without_contents(
    visit: Visit, empty_service: DashboardService, axe_source: str, path: str
) -> None:
    page = visit(empty_service).new_page()
    open_page(page, path)
    assert violations(page, axe_source) == {}


def test_axe_finds_nothing_on_the_sign_in_page(
    visit: Visit, empty_service: DashboardService, axe_source: str
) -> None:
    visitor = visit(empty_service, key=None)
    visitor.errors.expected_statuses.add(401)
    page = visitor.new_page()
    open_page(page, "/jobs")
    assert page.url == f"{empty_service.url}/sign-in?next=%2Fjobs"
    assert violations(page, axe_source) == {}
    assert sideways_scroll(page) == 0


@pytest.mark.parametrize("name", SEEDED)
def test_page_fits_a_phone(
    visit: Visit, service: SeededService, axe_source: str, name: str
) -> None:
    page = phone_page(visit, service)
    open_page(page, service.pages().get(name, name))
    assert sideways_scroll(page) == 0
    assert violations(page, axe_source) == {}


@pytest.mark.parametrize("name", [*LISTS, *ITEMS])
def test_long_names_fit_a_phone(visit: Visit, service: SeededService, name: str) -> None:
    page = phone_page(visit, service, HOSTILE_KEY)
    open_page(page, service.hostile.pages().get(name, name))
    assert sideways_scroll(page) == 0


@pytest.mark.parametrize("path", OF_EVERYBODY)
def test_empty_page_fits_a_phone(
    visit: Visit, empty_service: DashboardService, axe_source: str, path: str
) -> None:
    page = phone_page(visit, empty_service)
    open_page(page, path)
    assert sideways_scroll(page) == 0
    assert violations(page, axe_source) == {}


def test_the_checks_see_faults(page: Page, page_errors: PageErrors, axe_source: str) -> None:
    """A button without a name, a page too wide, and a script that is not the service's own."""
    open_page(page, "/")
    fault = "<button></button><p onclick='attacked()' class='wide'>x</p>"
    page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", fault)
    page.evaluate("document.querySelector('.wide').style.width = '5000px'")
    assert "button-name" in str(violations(page, axe_source)["dark"])
    assert sideways_scroll(page) > 1000
    assert any(message.startswith("CSP: script-src") for message in page_errors.messages)
    page_errors.messages.clear()


def phone_page(visit: Visit, service: DashboardService, key: str = "") -> Page:
    page = visit(service, key).new_page()
    page.set_viewport_size({"width": PHONE, "height": 844})
    return page


def sideways_scroll(page: Page) -> int:
    """Return how many pixels the page can be scrolled sideways."""
    return int(page.evaluate(SCROLL_SIDEWAYS))


def violations(page: Page, axe_source: str) -> dict[str, Any]:
    """Return what axe reports, by theme; empty if it reports nothing."""
    page.evaluate(axe_source)
    reports = {}
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        reports[theme] = page.evaluate(RUN_AXE)
    return {theme: report for theme, report in reports.items() if report}
