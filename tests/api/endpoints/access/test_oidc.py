"""Signing in through a real OpenID Connect provider, and what is not accepted from one."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy import Engine, select

from api.app import create_app
from core.settings import OidcGroup, Settings
from core.store.access import keys
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, AuditRow, SessionRow
from tests.api.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider
from tests.builders import training_body
from tests.intruders.problems import assert_problem

ORIGIN = {"Origin": "http://testserver"}
GROUPS = {
    "vision": OidcGroup(project="default", scopes=["read"]),
    "vision-leads": OidcGroup(project=DEFAULT_PROJECT, scopes=["read", "admin"]),
    "vision-submitters": OidcGroup(project="default", scopes=["submit"]),
    "strangers": OidcGroup(project="stranger", scopes=["read", "operator"]),
    "orphans": OidcGroup(project="deleted", scopes=["read"]),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    server = OidcProvider()
    server.start()
    yield server
    server.close()


@pytest.fixture
def oidc_settings(settings: Settings, provider: OidcProvider) -> Settings:
    changes = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_groups": GROUPS,
    }
    return settings.model_copy(update=changes)


@pytest.fixture
def browser(oidc_settings: Settings, engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(oidc_settings), follow_redirects=False) as client:
        yield client


def begin(browser: TestClient, query: str = "") -> str:
    """Go to the provider; return the address to which it sends the browser back."""
    response = browser.get(f"/v1/session/oidc{query}")
    assert response.status_code == 303, response.text
    return httpx2.get(response.headers["Location"]).headers["Location"]


def sign_in(browser: TestClient, query: str = "") -> httpx2.Response:
    return browser.get(begin(browser, query))


def location(response: httpx2.Response) -> str:
    assert response.status_code == 303
    return str(response.headers["Location"])


def describe_person(provider: OidcProvider, *groups: str, fault: str = "", **claims: Any) -> None:
    provider.describe_person(fault, sub="248289", groups=groups, **claims)


def count_sessions(engine: Engine) -> int:
    with read_session(engine) as session:
        return len(session.scalars(select(SessionRow)).all())


def test_a_person_gets_project_and_scopes_of_the_groups(
    browser: TestClient, provider: OidcProvider
) -> None:
    describe_person(provider, "vision-submitters", "vision", "x", preferred_username="ada")
    assert location(sign_in(browser)) == "/"
    session = browser.get("/v1/session").json()
    assert session == {
        "project_id": DEFAULT_PROJECT,
        "project": "default",
        "key_name": None,
        "subject": "ada",
        "scopes": ["read", "submit"],
        "expires_at": session["expires_at"],
    }
    assert browser.get("/v1/jobs").json()["data"] == []
    response = browser.post("/v1/jobs?dry_run=true", json=training_body(), headers=ORIGIN)
    assert response.status_code == 200
    assert browser.get("/v1/keys").status_code == 403


def test_the_first_of_the_mapped_groups_decides(
    browser: TestClient, provider: OidcProvider
) -> None:
    describe_person(provider, "strangers", "vision", email="ada@example.com")
    sign_in(browser)
    session = browser.get("/v1/session").json()
    assert (session["project"], session["scopes"]) == ("default", ["read"])
    assert session["subject"] == "ada@example.com"


def test_a_project_may_be_given_by_its_id(browser: TestClient, provider: OidcProvider) -> None:
    describe_person(provider, "vision-leads")
    sign_in(browser)
    session = browser.get("/v1/session").json()
    assert (session["project"], session["scopes"]) == ("default", ["read", "admin"])
    assert session["subject"] == "248289"


def test_groups_may_be_in_the_user_info(browser: TestClient, provider: OidcProvider) -> None:
    provider.describe_person(sub="1", in_user_info={"groups": ["vision"], "name": "Ada"})
    sign_in(browser)
    assert browser.get("/v1/session").json()["scopes"] == ["read"]
    provider.describe_person("user info", sub="1", in_user_info={"groups": ["vision"]})
    assert location(sign_in(browser)) == "/sign-in?error=sign_in_invalid"


@pytest.mark.parametrize("groups", [[], ["unknown"], None, {"vision": 1}, 7, [["vision"]]])
def test_a_person_without_a_mapped_group_is_refused(
    browser: TestClient, provider: OidcProvider, engine: Engine, groups: Any
) -> None:
    provider.describe_person(sub="1", groups=groups)
    assert location(sign_in(browser)) == "/sign-in?error=sign_in_no_project"
    assert count_sessions(engine) == 0


def test_a_group_whose_project_is_missing_is_refused(
    browser: TestClient, provider: OidcProvider
) -> None:
    describe_person(provider, "orphans")
    assert location(sign_in(browser)) == "/sign-in?error=sign_in_no_project"


@pytest.mark.parametrize(
    "fault",
    [
        "issuer",
        "audience",
        "nonce",
        "no nonce",
        "expired",
        "access token",
        "signature",
        "unknown key",
        "symmetric",
        "unsigned",
    ],
)
def test_an_id_token_with_a_fault_is_refused(
    browser: TestClient, provider: OidcProvider, engine: Engine, fault: str
) -> None:
    describe_person(provider, "vision", fault=fault)
    response = sign_in(browser)
    assert location(response) == "/sign-in?error=sign_in_invalid"
    assert "distill-session" not in str(response.headers)
    assert count_sessions(engine) == 0


def test_new_keys_of_the_provider_are_fetched(browser: TestClient, provider: OidcProvider) -> None:
    describe_person(provider, "vision")
    assert location(sign_in(browser)) == "/"
    describe_person(provider, "vision", fault="new key")
    assert location(sign_in(browser)) == "/"


def test_a_denial_of_the_provider_leads_to_the_page(
    browser: TestClient, provider: OidcProvider
) -> None:
    describe_person(provider, fault="denied")
    assert location(sign_in(browser)) == "/sign-in?error=sign_in_denied"


def test_an_answer_counts_in_the_browser_that_began(
    browser: TestClient, provider: OidcProvider, engine: Engine
) -> None:
    """Otherwise somebody could sign another person in as himself."""
    describe_person(provider, "vision")
    address = begin(browser)
    other = TestClient(browser.app, follow_redirects=False)
    assert location(other.get(address)) == "/sign-in?error=sign_in_expired"
    begin(other)
    assert location(other.get(address)) == "/sign-in?error=sign_in_expired"
    assert count_sessions(engine) == 0
    assert location(browser.get(address)) == "/"


def test_an_answer_counts_once(browser: TestClient, provider: OidcProvider) -> None:
    describe_person(provider, "vision")
    address = begin(browser)
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    assert location(browser.get(address)) == "/"
    assert location(browser.get(address)) == "/sign-in?error=sign_in_expired"
    assert location(browser.get(address, headers=cookie)) == "/sign-in?error=sign_in_invalid"


def test_the_request_has_state_nonce_and_pkce(browser: TestClient) -> None:
    queries = []
    for _ in range(2):
        response = browser.get("/v1/session/oidc")
        queries.append(parse_qs(urlsplit(response.headers["Location"]).query))
        header = response.headers["Set-Cookie"]
        assert header.startswith("distill-sign-in=")
        assert "HttpOnly; Max-Age=600; Path=/; SameSite=lax" in header
        assert CLIENT_SECRET not in str(response.headers)
    for name in ("state", "nonce", "code_challenge"):
        assert queries[0][name] != queries[1][name]
    assert queries[0]["code_challenge_method"] == ["S256"]
    assert queries[0]["scope"] == ["openid profile email"]
    callback = "http://testserver/v1/session/oidc/callback"
    assert queries[0]["redirect_uri"] == [callback]


def test_a_person_returns_to_the_page_asked_for(
    browser: TestClient, provider: OidcProvider
) -> None:
    describe_person(provider, "vision")
    query = "?return_to=/jobs%3Fstatus%3Dfailed%7Cx%3B%22%2C"
    assert location(sign_in(browser, query)) == "/jobs?status=failed%7Cx;%22,"


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "x", "/a b", "/\n/x"]
)
def test_nobody_is_sent_to_another_site(browser: TestClient, path: str) -> None:
    response = browser.get("/v1/session/oidc", params={"return_to": path})
    assert_problem(response, "invalid_request")


def test_below_a_root_path_every_address_has_it(
    oidc_settings: Settings, engine: Engine, provider: OidcProvider
) -> None:
    describe_person(provider, "vision")
    settings = oidc_settings.model_copy(update={"root_path": "/distill"})
    with TestClient(create_app(settings), follow_redirects=False) as browser:
        response = browser.get("/distill/v1/session/oidc?return_to=/jobs")
        query = parse_qs(urlsplit(response.headers["Location"]).query)
        callback = "http://testserver/distill/v1/session/oidc/callback"
        assert query["redirect_uri"] == [callback]
        back = httpx2.get(response.headers["Location"]).headers["Location"]
        assert location(browser.get(back)) == "/distill/jobs"
        assert browser.get("/distill/v1/session").status_code == 200
        assert location(browser.get(back)) == "/distill/sign-in?error=sign_in_expired"


def test_failures_count_like_wrong_keys(
    oidc_settings: Settings, engine: Engine, provider: OidcProvider
) -> None:
    settings = oidc_settings.model_copy(update={"failed_logins_per_minute": 2})
    with TestClient(create_app(settings), follow_redirects=False) as browser:
        codes = [location(browser.get("/v1/session/oidc/callback")) for _ in range(3)]
    assert [code.partition("=")[2] for code in codes] == [
        "sign_in_expired",
        "sign_in_expired",
        "rate_limited",
    ]


def test_a_session_without_a_key_ends_at_its_expiry(
    browser: TestClient, provider: OidcProvider, engine: Engine
) -> None:
    describe_person(provider, "vision")
    sign_in(browser)
    with write_session(engine) as session:
        row = session.scalars(select(SessionRow)).one()
        row.expires_at = database_now() - 1
    assert_problem(browser.get("/v1/session"), "unauthenticated")


def test_a_sign_in_and_its_changes_are_recorded(
    browser: TestClient, provider: OidcProvider, engine: Engine
) -> None:
    describe_person(provider, "vision-leads", preferred_username="ada")
    sign_in(browser)
    body = {"name": "of-ada", "scopes": ["read"]}
    headers = {**ORIGIN, "Idempotency-Key": "once"}
    first = browser.post("/v1/keys", json=body, headers=headers)
    replay = browser.post("/v1/keys", json=body, headers=headers)
    assert (first.status_code, replay.json()["id"]) == (201, first.json()["id"])
    with read_session(engine) as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.at, AuditRow.id)).all()
        session_id = session.scalars(select(SessionRow.id)).one()
    recorded = [(row.action, row.target, row.key_id) for row in rows]
    assert recorded == [
        ("GET /v1/session/oidc/callback", "ada (248289)", session_id),
        ("POST /v1/keys", first.json()["id"], session_id),
    ]


def test_an_unreachable_provider_leads_to_the_page(
    oidc_settings: Settings, engine: Engine, provider: OidcProvider
) -> None:
    for issuer in ("http://127.0.0.1:9", f"{provider.issuer}/tenant", "http://localhost"):
        settings = oidc_settings.model_copy(update={"oidc_issuer": issuer})
        with TestClient(create_app(settings), follow_redirects=False) as browser:
            response = browser.get("/v1/session/oidc")
            assert location(response) == "/sign-in?error=sign_in_unavailable"


def test_the_issuer_must_be_the_one_of_the_settings(
    oidc_settings: Settings, engine: Engine, provider: OidcProvider
) -> None:
    issuer = provider.issuer.replace("127.0.0.1", "localhost")
    settings = oidc_settings.model_copy(update={"oidc_issuer": issuer})
    with TestClient(create_app(settings), follow_redirects=False) as browser:
        response = browser.get("/v1/session/oidc")
        assert location(response) == "/sign-in?error=sign_in_unavailable"


def test_the_sign_in_page_is_told_of_the_provider(browser: TestClient) -> None:
    assert browser.get("/v1/session/methods").json() == {"methods": ["key", "oidc"]}


def test_without_a_provider_there_is_nothing(anonymous: TestClient) -> None:
    for path in ("/v1/session/oidc", "/v1/session/oidc/callback?state=x&code=y"):
        assert_problem(anonymous.get(path), "not_found")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"vision"', "not JSON"),
        ('{"vision": {"project": "default", "scopes": ["write"]}}', "'operator'"),
        ('{"vision": {"project": "default", "scopes": []}}', "at least 1"),
        ('{"vision": {"scopes": ["read"]}}', "Field required"),
    ],
)
def test_a_wrong_mapping_is_explained(
    monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.setenv("DISTILL_OIDC_GROUPS", text)
    with pytest.raises(ValidationError, match=sentence):
        Settings()


def test_the_mapping_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{"vision": {"project": "default", "scopes": ["read", "submit", "admin", "operator"]}}'
    monkeypatch.setenv("DISTILL_OIDC_GROUPS", text)
    assert Settings().oidc_groups["vision"].scopes == list(keys.SCOPES)
    monkeypatch.setenv("DISTILL_OIDC_GROUPS", "")
    assert Settings().oidc_groups == {}
