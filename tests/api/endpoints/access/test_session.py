"""A browser's session: begun with a key or a one-time token, and what its cookie may do."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from api.app import create_app
from core.settings import Settings
from core.store.access import keys
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, AuditRow, SessionRow
from tests.api.conftest import KEY, STRANGERS_KEY, bearer
from tests.builders import training_body
from tests.intruders.problems import assert_problem

ORIGIN = {"Origin": "http://testserver"}


@pytest.fixture
def browser(anonymous: TestClient) -> TestClient:
    """A client that keeps cookies, and sends no key."""
    return anonymous


def sign_in(browser: TestClient, key: str = KEY) -> dict[str, Any]:
    response = browser.post("/v1/session", json={"key": key}, headers=ORIGIN)
    assert response.status_code == 201, response.text
    session: dict[str, Any] = response.json()
    return session


def count_sessions(engine: Engine) -> int:
    with read_session(engine) as session:
        return len(session.scalars(select(SessionRow)).all())


def test_a_key_begins_a_session(browser: TestClient) -> None:
    assert browser.get("/v1/session").status_code == 401
    session = sign_in(browser)
    assert session == {
        "project_id": DEFAULT_PROJECT,
        "project": "default",
        "key_name": "everything",
        "subject": None,
        "scopes": list(keys.SCOPES),
        "expires_at": session["expires_at"],
    }
    assert browser.get("/v1/session").json() == session
    assert browser.get("/v1/jobs").json()["data"] == []


def test_the_cookie_is_kept_from_scripts_and_other_sites(browser: TestClient) -> None:
    response = browser.post("/v1/session", json={"key": KEY})
    name, *attributes = response.headers["Set-Cookie"].split("; ")
    assert name.startswith("distill-session=dks_")
    assert attributes == ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=strict"]
    assert "dks_" not in response.text
    assert KEY not in response.text


@pytest.mark.parametrize(
    ("base_url", "origin", "root_path", "name", "is_secure"),
    [
        ("https://testserver", None, "", "__Host-distill-session", True),
        ("https://testserver", None, "/distill", "__Secure-distill-session", True),
        ("http://testserver", "https://testserver", "", "__Host-distill-session", True),
        ("http://testserver:8321", None, "", "distill-session-8321", False),
        ("http://testserver", None, "/distill", "distill-session", False),
    ],
)
def test_the_cookie_is_protected_where_there_is_tls(
    settings: Settings,
    engine: Engine,
    base_url: str,
    origin: str | None,
    root_path: str,
    name: str,
    is_secure: bool,
) -> None:
    """A proxy that ends TLS, and is not trusted, is known by the browser's own Origin."""
    settings = settings.model_copy(update={"root_path": root_path})
    headers = {"Origin": origin} if origin else {}
    with TestClient(create_app(settings), base_url=base_url) as client:
        response = client.post("/v1/session", json={"key": KEY}, headers=headers)
        header = response.headers["Set-Cookie"]
        assert header.startswith(f"{name}=")
        assert ("; Secure" in header) == is_secure
        assert f"; Path={root_path or '/'};" in header
        cookie = header.partition(";")[0]
        client.cookies.clear()
        assert client.get("/v1/session", headers={"Cookie": cookie}).status_code == 200


def test_over_tls_an_unprotected_cookie_counts_for_nothing(
    settings: Settings, engine: Engine
) -> None:
    """Any page of a neighboring host name could have set it."""
    with TestClient(create_app(settings)) as client:
        sign_in(client)
        token = next(iter(client.cookies.values()))
    with TestClient(create_app(settings), base_url="https://testserver") as client:
        for name, status in (("distill-session", 401), ("__Host-distill-session", 200)):
            response = client.get("/v1/session", headers={"Cookie": f"{name}={token}"})
            assert response.status_code == status


def test_a_wrong_key_begins_nothing(browser: TestClient, engine: Engine) -> None:
    for body in ({"key": "dk_wrong"}, {"token": "dkt_wrong"}):
        response = browser.post("/v1/session", json=body)
        assert_problem(response, "unauthenticated")
        assert "Set-Cookie" not in response.headers
    assert count_sessions(engine) == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"key": KEY, "token": "x"}, {"key": ""}, {"key": "x" * 501}, {"key": 1}, {"k": "x"}],
)
def test_a_wrong_body_is_refused(browser: TestClient, body: dict[str, Any]) -> None:
    response = browser.post("/v1/session", json=body)
    assert_problem(response, "invalid_request")
    assert KEY not in response.text


def test_failed_sign_ins_count_like_wrong_keys(settings: Settings, engine: Engine) -> None:
    settings = settings.model_copy(update={"failed_logins_per_minute": 3})
    with TestClient(create_app(settings)) as client:
        for _ in range(3):
            response = client.post("/v1/session", json={"key": "dk_wrong"})
            assert response.status_code == 401
        assert_problem(client.post("/v1/session", json={"key": KEY}), "rate_limited")
        assert client.get("/v1/jobs", headers=bearer(KEY)).status_code == 429


def test_an_ended_session_locks_nobody_out(settings: Settings, engine: Engine) -> None:
    """The open pages of a session that has ended go on sending requests for a while."""
    settings = settings.model_copy(update={"failed_logins_per_minute": 3})
    with TestClient(create_app(settings), cookies={"distill-session": "dks_ended"}) as client:
        for _ in range(10):
            assert client.get("/v1/jobs").status_code == 401
        assert client.post("/v1/session", json={"key": KEY}).status_code == 201


def test_a_revoked_key_ends_its_sessions_at_once(browser: TestClient, client: TestClient) -> None:
    key = client.post("/v1/keys", json={"name": "short", "scopes": ["read"]}).json()
    sign_in(browser, key["secret"])
    assert browser.get("/v1/jobs").status_code == 200
    client.delete(f"/v1/keys/{key['id']}")
    assert_problem(browser.get("/v1/jobs"), "unauthenticated")


def test_the_header_decides_where_there_is_a_cookie_too(browser: TestClient) -> None:
    sign_in(browser)
    session = browser.get("/v1/session", headers=bearer(STRANGERS_KEY)).json()
    assert (session["project"], session["expires_at"]) == ("stranger", None)
    for header in ("Bearer dk_wrong", "Basic YTpi", "Bearer", ""):
        response = browser.get("/v1/session", headers={"Authorization": header})
        assert_problem(response, "unauthenticated")


def test_a_session_lacks_the_scopes_that_its_key_lacks(
    browser: TestClient, client: TestClient
) -> None:
    key = client.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()
    sign_in(browser, key["secret"])
    response = browser.post("/v1/jobs", json=training_body(), headers=ORIGIN)
    assert_problem(response, "forbidden")
    assert "This session lacks the scope 'submit'" in response.json()["detail"]


def test_a_session_sees_only_the_project_of_its_key(
    browser: TestClient, client: TestClient
) -> None:
    job = client.post("/v1/jobs", json=training_body()).json()
    sign_in(browser, STRANGERS_KEY)
    assert browser.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_signing_out_ends_the_session(browser: TestClient, engine: Engine) -> None:
    sign_in(browser)
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    response = browser.delete("/v1/session", headers=ORIGIN)
    assert response.status_code == 204
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert len(browser.cookies) == 0
    assert_problem(browser.get("/v1/session", headers=cookie), "unauthenticated")
    assert count_sessions(engine) == 0


def test_an_api_key_has_no_session_to_end(client: TestClient) -> None:
    assert_problem(client.delete("/v1/session"), "not_found")


def test_a_one_time_token_begins_one_session(browser: TestClient, client: TestClient) -> None:
    response = client.post("/v1/session/tokens", headers={"Idempotency-Key": "once"})
    token = response.json()["token"]
    assert response.status_code == 201
    replay = client.post("/v1/session/tokens", headers={"Idempotency-Key": "once"})
    assert replay.json() == {**response.json(), "token": None}
    session = browser.post("/v1/session", json={"token": token}).json()
    assert session["key_name"] == "everything"
    assert browser.get("/v1/jobs").status_code == 200
    response = browser.post("/v1/session", json={"token": token})
    assert "was used before" in response.json()["detail"]


def test_a_session_cannot_prolong_itself(browser: TestClient) -> None:
    sign_in(browser)
    response = browser.post("/v1/session/tokens", headers=ORIGIN)
    assert_problem(response, "forbidden")


def test_changes_are_recorded_under_the_sessions_key(
    browser: TestClient, client: TestClient, engine: Engine
) -> None:
    sign_in(browser)
    browser.post("/v1/jobs", json=training_body(), headers=ORIGIN)
    browser.delete("/v1/session", headers=ORIGIN)
    with read_session(engine) as session:
        key = keys.authenticate(engine, KEY)
        rows = session.scalars(select(AuditRow).order_by(AuditRow.at, AuditRow.id)).all()
    actions = ["POST /v1/session", "POST /v1/jobs", "DELETE /v1/session"]
    assert [row.action for row in rows] == actions
    assert {row.key_id for row in rows} == {key.id}
    assert str(rows[0].target).startswith("ses_")


def test_a_repeated_change_is_carried_out_once(browser: TestClient, client: TestClient) -> None:
    """Under one idempotency key, by the session and by its key alike."""
    sign_in(browser)
    headers = {"Idempotency-Key": "once"}
    first = browser.post("/v1/jobs", json=training_body(), headers={**headers, **ORIGIN}).json()
    assert client.post("/v1/jobs", json=training_body(), headers=headers).json() == first


def test_a_session_shares_the_rate_limit_of_its_key(settings: Settings, engine: Engine) -> None:
    settings = settings.model_copy(update={"requests_per_second": 0.1})
    with TestClient(create_app(settings)) as client:
        sign_in(client)
        assert client.get("/v1/jobs").status_code == 429
        assert client.get("/v1/jobs", headers=bearer(KEY)).status_code == 429


def test_the_methods_of_signing_in_are_public(anonymous: TestClient) -> None:
    assert anonymous.get("/v1/session/methods").json() == {"methods": ["key"]}


@pytest.fixture
def on_postgres(postgres_url: str, settings: Settings) -> Iterator[TestClient]:
    settings = settings.model_copy(update={"database_url": postgres_url})
    with TestClient(create_app(settings)) as client:
        yield client


def test_signing_in_and_out_on_postgres(on_postgres: TestClient) -> None:
    with write_session(on_postgres.app.state.engine) as session:  # type: ignore[attr-defined]
        keys.create(session, DEFAULT_PROJECT, "everything", keys.SCOPES, secret=KEY)
    token = on_postgres.post("/v1/session/tokens", headers=bearer(KEY)).json()["token"]
    assert on_postgres.post("/v1/session", json={"token": token}).status_code == 201
    assert on_postgres.get("/v1/session").json()["project"] == "default"
    assert on_postgres.delete("/v1/session", headers=ORIGIN).status_code == 204
    assert on_postgres.get("/v1/session").status_code == 401
