"""Operating: keys, projects, workers, audit log, each by its scope."""

import re

from playwright.sync_api import expect

from distill_client import Distill
from tests.dashboard.browsing import open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService


def test_key_is_created_shown_once_and_revoked(
    visit: Visit, scratch_service: DashboardService
) -> None:
    visitor = visit(scratch_service)
    visitor.errors.expected_statuses.add(422)
    page = visitor.new_page()
    open_page(page, "/operate")
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text(re.compile("at least 1 character"))).to_be_visible()
    dialog.get_by_label("Name").fill("ci")
    dialog.get_by_role("button", name="Create").click()
    secret = page.locator("code").inner_text()
    with Distill(scratch_service.url, secret) as client:
        assert client.session().key_name == "ci"
    page.get_by_role("button", name="I have saved it").click()
    expect(page.locator("code")).to_have_count(0)
    page.get_by_role("button", name="Revoke ci").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("button", name="Revoke ci")).to_have_count(0)
    page.get_by_text("All", exact=True).click()
    expect(page).to_have_url(re.compile(r"keys=all"))
    expect(page.get_by_role("row", name=re.compile("^ci .*Revoked"))).to_be_visible()


def test_worker_is_drained_and_undrained(visit: Visit, scratch_service: DashboardService) -> None:
    page = visit(scratch_service).new_page()
    open_page(page, "/operate")
    page.get_by_role("button", name=re.compile("^Drain ")).click()
    expect(page.get_by_role("button", name=re.compile("^Undrain "))).to_be_visible()
    expect(page.get_by_text("No worker claims jobs")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Undrain ")).click()
    expect(page.get_by_text("1 worker claims jobs")).to_be_visible()


def test_project_gets_a_first_key(visit: Visit, scratch_service: DashboardService) -> None:
    page = visit(scratch_service).new_page()
    open_page(page, "/operate")
    page.get_by_role("button", name="Create a project").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("vision")
    dialog.get_by_role("button", name="Create").click()
    secret = page.locator("code").inner_text()
    with Distill(scratch_service.url, secret) as client:
        assert client.session().project == "vision"


def test_audit_filters_stand_in_the_address(
    visit: Visit, scratch_service: DashboardService
) -> None:
    with scratch_service.embedded.client() as client:
        client.create_key("audited", ["read"])
    page = visit(scratch_service).new_page()
    open_page(page, "/operate")
    page.get_by_label("Action").fill("POST /v1/keys")
    expect(page).to_have_url(re.compile(r"action=POST"))
    table = page.get_by_role("table", name="Audit entries")
    expect(table.get_by_role("row").nth(1)).to_contain_text("POST /v1/keys")
    expect(table.get_by_text("POST /v1/session")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Action")).to_have_value("POST /v1/keys")
    page.get_by_label("Since").select_option("the last hour")
    expect(page).to_have_url(re.compile(r"since=hour"))
    expect(table.get_by_text("POST /v1/session")).to_have_count(0)


def test_sections_need_their_scopes(visit: Visit, scratch_service: DashboardService) -> None:
    with scratch_service.embedded.client() as client:
        secret = client.create_key("reads", ["read"]).secret
    page = visit(scratch_service, secret).new_page()
    open_page(page, "/operate")
    expect(page.get_by_role("heading", name="Storage")).to_be_visible()
    for name in ("Workers", "Keys", "Projects", "Audit log"):
        expect(page.get_by_role("heading", name=name)).to_have_count(0)
    expect(page.get_by_text("Workers and projects are for the scope operator")).to_be_visible()


def test_session_is_listed_and_ended(visit: Visit, scratch_service: DashboardService) -> None:
    with scratch_service.embedded.client() as client:
        secret = client.create_key("borrowed", ["read"]).secret
    other = visit(scratch_service, secret)
    other.errors.expected_statuses.add(401)
    lost = other.new_page()
    open_page(lost, "/operate")
    page = visit(scratch_service).new_page()
    open_page(page, "/operate")
    expect(page.get_by_role("row", name=re.compile("this session"))).to_be_visible()
    page.get_by_role("button", name="End the session of borrowed").click()
    page.get_by_role("dialog").get_by_role("button", name="End").click()
    expect(page.get_by_role("button", name="End the session of borrowed")).to_have_count(0)
    # Its open stream ends with it, and leads to the sign-in page.
    expect(lost.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
