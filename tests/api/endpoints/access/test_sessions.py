"""The list of sessions: whose it is, and how one is ended."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.settings import Settings
from core.store.access import keys, sessions
from core.store.access.sessions import Lifetime
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT
from tests.api.conftest import KEY, STRANGERS_KEY, bearer
from tests.intruders.problems import assert_problem

ORIGIN = {"Origin": "http://testserver"}
LIFETIME = Lifetime(3600, 3600)
Browser = Callable[[str], TestClient]


@pytest.fixture
def browser(settings: Settings) -> Iterator[Browser]:
    """Opens a browser that is signed in with a key."""
    with ExitStack() as stack:

        def open_browser(key: str) -> TestClient:
            client = stack.enter_context(TestClient(create_app(settings)))
            assert client.post("/v1/session", json={"key": key}, headers=ORIGIN).is_success
            return client

        yield open_browser


def listed(client: TestClient, **headers: str) -> list[dict[str, Any]]:
    sessions_listed: list[dict[str, Any]] = client.get("/v1/sessions", headers=headers).json()[
        "data"
    ]
    return sessions_listed


def make_reader(engine: Engine) -> str:
    with write_session(engine) as session:
        return keys.create(session, DEFAULT_PROJECT, "reader", ["read"])[1]


def test_an_admin_sees_all_sessions_of_the_project(browser: Browser, engine: Engine) -> None:
    reader = browser(make_reader(engine))
    admin = browser(KEY)
    browser(STRANGERS_KEY)
    own, other = listed(admin)
    assert (own["key_name"], own["current"], own["scopes"]) == (
        "everything",
        True,
        list(keys.SCOPES),
    )
    assert (other["key_name"], other["current"], other["scopes"]) == ("reader", False, ["read"])
    assert "dks_" not in admin.get("/v1/sessions").text
    assert [session["id"] for session in listed(reader)] == [other["id"]]


def test_a_key_sees_its_own_sessions(client: TestClient, browser: Browser, engine: Engine) -> None:
    secret = make_reader(engine)
    browser(secret)
    browser(KEY)
    [session] = listed(client, **bearer(secret))
    assert (session["key_name"], session["current"]) == ("reader", False)


def test_a_person_sees_own_sessions_only(engine: Engine, settings: Settings) -> None:
    """Through OIDC, where no key is: another person may have the same name."""
    with write_session(engine) as session:
        tokens = [
            sessions.create_for_subject(
                session, DEFAULT_PROJECT, "ada", ["read"], LIFETIME, person_id=person_id
            )
            for person_id in ("1", "1", "2")
        ]
    (first, token), (second, _), _ = tokens
    with TestClient(create_app(settings), cookies={"distill-session": token}) as ada:
        data = listed(ada)
        assert [entry["id"] for entry in data] == [second.id, first.id]
        assert [entry["subject"] for entry in data] == ["ada", "ada"]
        assert [entry["current"] for entry in data] == [False, True]


def test_an_ended_session_is_rejected_and_gone(browser: Browser, engine: Engine) -> None:
    reader = browser(make_reader(engine))
    admin = browser(KEY)
    [session] = listed(reader)
    response = admin.delete(f"/v1/sessions/{session['id']}", headers=ORIGIN)
    assert (response.status_code, response.json()["id"]) == (200, session["id"])
    assert reader.get("/v1/session").status_code == 401
    again = admin.delete(f"/v1/sessions/{session['id']}", headers=ORIGIN)
    assert_problem(again, "not_found")
    [entry, *_] = admin.get("/v1/audit?action=DELETE /v1/sessions/{session_id}").json()["data"]
    assert (entry["status"], entry["target"]) == (404, session["id"])


def test_nobody_ends_a_session_of_others(browser: Browser, engine: Engine) -> None:
    """Not of another key without the scope admin, not of another project with it."""
    admin = browser(KEY)
    [session] = listed(admin)
    for intruder in (browser(make_reader(engine)), browser(STRANGERS_KEY)):
        response = intruder.delete(f"/v1/sessions/{session['id']}", headers=ORIGIN)
        assert_problem(response, "not_found")
    assert admin.get("/v1/session").status_code == 200
    assert admin.delete(f"/v1/sessions/{session['id']}").status_code == 403  # without Origin


def test_sessions_that_ended_by_themselves_are_not_listed(
    client: TestClient, browser: Browser, engine: Engine
) -> None:
    secret = make_reader(engine)
    browser(secret)
    [session] = listed(client)
    client.delete(f"/v1/keys/{session['key_id']}")
    assert listed(client) == []
    assert_problem(client.delete(f"/v1/sessions/{session['id']}"), "not_found")


def test_sessions_are_listed_in_pages(client: TestClient, browser: Browser) -> None:
    for _ in range(3):
        browser(KEY)
    page = client.get("/v1/sessions?limit=2").json()
    rest = client.get("/v1/sessions", params={"limit": 2, "after": page["next_cursor"]}).json()
    ids = [session["id"] for session in [*page["data"], *rest["data"]]]
    assert (len(set(ids)), rest["has_more"]) == (3, False)
    assert_problem(client.get("/v1/sessions?after=x"), "invalid_cursor")
