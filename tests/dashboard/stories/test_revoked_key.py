"""A revoked key: its open pages end, say why, and lead back to where they were."""

import re

from playwright.sync_api import expect

from tests.dashboard.browsing import open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService


def test_revoked_key_ends_open_pages(visit: Visit, scratch_service: DashboardService) -> None:
    with scratch_service.embedded.client() as administrator:
        key = administrator.create_key("soon-revoked", ["read"])
        assert key.secret is not None
        visitor = visit(scratch_service, key.secret)
        visitor.errors.expected_statuses.add(401)
        page = visitor.new_page()
        open_page(page, "/jobs?status=failed&sort=created_at")
        administrator.revoke_key(key.id)
    expect(page).to_have_url(re.compile(r"/sign-in\?next="))
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    assert page.request.get("/v1/jobs").status == 401

    page.get_by_label("API key").fill(key.secret)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("This key is not known here, or was revoked.")).to_be_visible()
    page.get_by_label("API key").fill(scratch_service.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{scratch_service.url}/jobs?status=failed&sort=created_at")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_sign_out_is_no_end_to_explain(visit: Visit, scratch_service: DashboardService) -> None:
    visitor = visit(scratch_service)
    visitor.errors.expected_statuses.add(401)
    page = visitor.new_page()
    open_page(page, "/jobs")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("Your session has ended")).to_have_count(0)
