"""``distill dashboard``."""

import webbrowser

import pytest

from tests.client.commands.runner import distill
from tests.client.fake_server import FakeServer, json_response

SESSION = {
    "project_id": "prj_default",
    "project": "vision",
    "key_name": "laptop",
    "subject": None,
    "scopes": ["read"],
    "expires_at": None,
}


@pytest.fixture
def addresses(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the browser of this machine is asked to open."""
    addresses: list[str] = []

    def open_address(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", open_address)
    monkeypatch.setenv("DISPLAY", ":0")
    server.respond("GET /v1/session", json_response(SESSION))
    token = {"token": "dkt_once", "expires_at": "2026-11-26T10:10:00.000Z"}
    server.respond("POST /v1/session/tokens", json_response(token, 201))
    return addresses


def test_it_opens_a_browser_that_is_signed_in(server: FakeServer, addresses: list[str]) -> None:
    result = distill("dashboard")
    assert result.exit_code == 0
    assert addresses == [f"{server.url}/sign-in#token=dkt_once"]
    assert "dkt_once" not in result.output
    assert "as laptop of vision" in result.output


def test_it_prints_the_address_without_a_display(
    server: FakeServer, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert distill("dashboard").stdout == f"{server.url}/sign-in#token=dkt_once\n"
    assert addresses == []


def test_it_prints_the_address_where_no_browser_opens(
    server: FakeServer, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(address: str) -> bool:
        raise webbrowser.Error("could not locate runnable browser")

    for open_address in (fail, lambda address: False):
        monkeypatch.setattr(webbrowser, "open", open_address)
        assert distill("dashboard").stdout == f"{server.url}/sign-in#token=dkt_once\n"


def test_it_prints_the_address_on_request(server: FakeServer, addresses: list[str]) -> None:
    assert distill("dashboard", "--print").stdout == f"{server.url}/sign-in#token=dkt_once\n"
    assert addresses == []


def test_a_lost_token_is_an_error(server: FakeServer, addresses: list[str]) -> None:
    token = {"token": None, "expires_at": "2026-11-26T10:10:00.000Z"}
    server.respond("POST /v1/session/tokens", json_response(token, 201))
    result = distill("dashboard")
    assert result.exit_code == 2
    assert addresses == []
