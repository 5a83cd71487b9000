"""Strangers: let in by a one-time address, kept out of other projects, and hostile ones."""

import re
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browsing import PageErrors, open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.seeded_projects import ATTACK_SCRIPT
from tests.dashboard.services import HOSTILE_KEY, SeededService
from tests.dashboard.test_every_page import ITEMS, LISTS

ATTACKS = f"""() => [
  ...document.querySelectorAll(
    "img[src='x'], [onerror], [onload], [srcdoc], a[href^='javascript:' i]"
  ),
  ...[...document.scripts].filter((script) => script.text.includes("{ATTACK_SCRIPT}")),
].map((element) => element.outerHTML)"""
SHOW_NAMES = {"/jobs", "/sweeps", "/datasets", "job", "failed job", "sweep", "dataset"}
"""Pages that show a name which people may choose freely."""


def test_a_one_time_address_signs_in_once(visit: Visit, service: SeededService) -> None:
    with service.embedded.client() as client:
        address = client.sign_in_address()
    visitor = visit(service, key=None)
    visitor.errors.expected_statuses.add(401)
    page = visitor.new_page()
    open_page(page, address)
    expect(page).to_have_url(f"{service.url}/")
    page.go_back()
    assert "token" not in page.url
    open_page(page, f"/jobs/{service.student.id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("digits-student")

    other = visit(service, key=None).new_page()
    other.goto(address)
    expect(other.get_by_text("This sign-in address was used before")).to_be_visible()


@pytest.mark.parametrize("name", [*LISTS, *ITEMS])
def test_hostile_text_runs_nothing(visit: Visit, service: SeededService, name: str) -> None:
    """Names, labels, notes, logs, failures, reports, classes: all are shown as text."""
    visitor = visit(service, HOSTILE_KEY)
    calls: list[object] = []

    def attacked(source: object) -> None:
        calls.append(source)

    visitor.context.expose_binding("attacked", attacked)
    page = visitor.new_page()
    open_page(page, service.hostile.pages().get(name, name))
    assert page.evaluate(ATTACKS) == []
    assert calls == []
    if name in SHOW_NAMES:
        assert "<img src=x" in page.inner_text("main")


@pytest.mark.parametrize("name", ITEMS)
def test_pages_of_another_project_do_not_exist(
    page: Page, page_errors: PageErrors, service: SeededService, name: str
) -> None:
    page_errors.expected_statuses.add(404)
    open_page(page, service.strangers.pages()[name])
    assert 404 in page_errors.statuses
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    text = page.inner_text("main")
    assert re.search(r"There (is|are) no|not found|does not exist", text), text
    assert "strangers" not in text


def test_a_stolen_cookie_changes_nothing(visit: Visit, service: SeededService) -> None:
    """Without the Origin header of one of the service's pages, or with that of another."""
    visitor = visit(service)
    (cookie,) = visitor.context.cookies()
    headers = {"Cookie": f"{cookie['name']}={cookie['value']}"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as thief:
        assert thief.get("/v1/session").status_code == 200
        operations = changing_operations(thief.get("/openapi.json").json(), service)
        assert len(operations) > 20
        for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            for method, path in operations:
                response = thief.request(method, path, headers=origin, json={})
                assert response.status_code == 403, (method, path, response.text)
        assert thief.get("/v1/session").status_code == 200


def changing_operations(document: dict[str, Any], service: SeededService) -> list[tuple[str, str]]:
    """Return method and path of every operation that changes something, on real ids."""
    ids = {
        "job_id": service.contents.job_id,
        "sweep_id": service.contents.sweep_id,
        "model": service.contents.model_id,
        "dataset": service.contents.dataset_id,
    }
    return [
        (method.upper(), re.sub(r"{(\w+)}", lambda match: ids.get(match[1], "some"), path))
        for path, methods in document["paths"].items()
        for method in methods
        if method in {"post", "put", "patch", "delete"} and (method, path) != SIGN_IN
    ]


SIGN_IN = ("post", "/v1/session")
"""Needs no session, and so gains nothing from a stolen one."""
