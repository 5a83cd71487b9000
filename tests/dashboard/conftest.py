"""The built dashboard on real services, in a real Chromium.

A test that asks for ``page`` or ``visit`` fails on every console error, violation of the
Content-Security-Policy and failed request of its pages.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from api.dashboard import FOLDER
from tests.browser import open_chromium
from tests.dashboard.browsing import PageErrors, Visitor
from tests.dashboard.services import DashboardService, SeededService, start_empty, start_seeded

AXE = FOLDER.parent / "node_modules" / "axe-core" / "axe.min.js"
Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def built_dashboard() -> Path:
    """The folder with the pages. ``./run test`` has built it."""
    assert (FOLDER / "index.html").exists(), "The dashboard is not built. Run:  ./run dashboard"
    return FOLDER


@pytest.fixture(scope="session")
def axe_source() -> str:
    """The script of axe-core, which finds what people with disabilities cannot use."""
    assert AXE.exists(), "axe-core is missing. Run:  ./run dashboard"
    return AXE.read_text()


@pytest.fixture(scope="session")
def service(
    built_dashboard: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SeededService]:
    """A service with finished, failed and hostile jobs, shared by all tests: change nothing."""
    service = start_seeded(tmp_path_factory.mktemp("seeded") / "data", sqlite_template)
    yield service
    service.embedded.end()


def run_empty(folder: Path, template: Path) -> Iterator[DashboardService]:
    service = start_empty(folder / "data", template)
    yield service
    service.embedded.end()


@pytest.fixture(scope="session")
def empty_service(
    built_dashboard: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DashboardService]:
    """A service on which nobody has done anything."""
    yield from run_empty(tmp_path_factory.mktemp("empty"), sqlite_template)


@pytest.fixture(scope="session")
def scratch_service(
    built_dashboard: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DashboardService]:
    """A service that tests may change; each finds what it makes by its own names."""
    yield from run_empty(tmp_path_factory.mktemp("scratch"), sqlite_template)


@pytest.fixture(scope="module")
def own_service(
    built_dashboard: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DashboardService]:
    """An empty service with a worker, which the tests of one module may change."""
    yield from run_empty(tmp_path_factory.mktemp("own"), sqlite_template)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def page_errors() -> Iterator[PageErrors]:
    """What went wrong in the test's pages; the test fails at its end if anything did."""
    errors = PageErrors()
    yield errors
    assert errors.unexpected() == []


@pytest.fixture
def visit(browser: Browser, page_errors: PageErrors) -> Iterator[Visit]:
    """``visit(service)`` opens a browser of its own, signed in; ``key=None``: not signed in."""
    visitors: list[Visitor] = []

    def begin(service: DashboardService, key: str | None = "") -> Visitor:
        visitor = Visitor(browser, page_errors, service)
        visitors.append(visitor)
        if key is not None:
            visitor.sign_in(key or service.key)
        return visitor

    yield begin
    for visitor in visitors:
        visitor.context.close()


@pytest.fixture
def page(visit: Visit, service: SeededService) -> Page:
    """A signed-in page on ``service``, 1280 px wide, light."""
    return visit(service).new_page()
