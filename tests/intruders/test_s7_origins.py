"""S7: a wrong Host or Origin, a form's content type and a stolen cookie are refused, and change
nothing.

These are the requests that a web page could make a user's browser send.
"""

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, select

from api.app import create_app
from core.settings import Settings
from core.store.database.engine import read_session
from core.store.database.tables import ApiKeyRow, DatasetRow, JobRow, ModelRow, ProjectRow, SweepRow
from tests.api.conftest import KEY, Service, bearer
from tests.builders import training_body
from tests.intruders.installation import Installation
from tests.intruders.problems import assert_problem
from tests.intruders.raw_client import RawClient
from tests.servers import wait_until

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = ("/v1/jobs", "/v1/keys", "/v1/models/x/content", "/healthz", "/docs", "/none")
JSON = {"Content-Type": "application/json"}
WRONG_HOSTS = (
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "localhost.evil.example",
    "evil.example@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}/evil.example",
    "localhost.",
    "2130706433:{port}",
    "0x7f.1",
    "0.0.0.0:{port}",
    "192.168.0.1:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::1",
    "127.0.0.1:999999",
    "127.0.0.1, evil.example",
    "testserver",
    "",
)
WRONG_ORIGINS = (
    "https://evil.example",
    "http://evil.example:{port}",
    "http://localhost:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}@evil.example",
    "file://",
    "null",
    "chrome-extension://abcdef",
    "http://127.0.0.1:{port}/",
    "",
)


def count_rows(engine: Engine) -> list[int]:
    """Return the number of rows in each table that a request can add to."""
    with read_session(engine) as session:
        tables: list[Any] = [JobRow, SweepRow, ModelRow, DatasetRow, ApiKeyRow, ProjectRow]
        return [session.scalars(select(func.count()).select_from(table)).one() for table in tables]


def body_of(method: str) -> bytes:
    return b"{}" if method in {"POST", "PUT", "PATCH"} else b""


def test_s7_a_wrong_host_is_refused_for_every_method(
    installation: Installation, raw_client: RawClient
) -> None:
    """Even with a valid key. Of the many refusals, only some are written to the audit log."""
    counts = count_rows(installation.engine)
    for template in WRONG_HOSTS:
        host = template.format(port=installation.service.port)
        for method in METHODS:
            for path in PATHS:
                headers = {"Host": host, **JSON}
                response = raw_client.request(method, path, headers, body_of(method))
                assert response.status == 403, (host, method, path, response)
                if method != "HEAD":
                    assert_problem(response, "wrong_host")
    assert count_rows(installation.engine) == counts
    installation.wait_for_audit_entry(code="wrong_host", status=403, key_id=None)
    assert len(installation.audit_entries(code="wrong_host")) <= 12  # of a thousand


def test_s7_a_missing_or_repeated_host_is_refused(
    installation: Installation, raw_client: RawClient
) -> None:
    key = f"Authorization: Bearer {KEY}\r\n"
    for hosts in (
        "",
        f"Host: 127.0.0.1:{installation.service.port}\r\nHost: evil.example\r\n",
        "Host: evil.example\r\nHost: localhost\r\n",
    ):
        request = f"GET /v1/jobs HTTP/1.1\r\n{hosts}{key}\r\n"
        assert_problem(raw_client.send(request.encode()), "wrong_host")


def test_s7_forwarded_headers_are_ignored_by_default(
    installation: Installation, raw_client: RawClient
) -> None:
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "localhost",
        "Forwarded": "host=localhost",
        "X-Forwarded-For": "10.1.2.3",
    }
    assert_problem(raw_client.request("GET", "/v1/jobs", headers), "wrong_host")
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert raw_client.request("GET", "/v1/jobs", headers).status == 200
    response = raw_client.request("GET", "/healthz", {"X-Forwarded-Proto": "https"})
    assert "strict-transport-security" not in response.headers
    assert {entry.address for entry in installation.audit_entries()} <= {"127.0.0.1"}


def test_s7_a_wrong_origin_is_refused_for_every_method(
    installation: Installation, raw_client: RawClient
) -> None:
    """No CORS header allows the page to read the response either."""
    counts = count_rows(installation.engine)
    for template in WRONG_ORIGINS:
        origin = template.format(port=installation.service.port)
        for method in METHODS:
            for path in PATHS:
                headers = {"Origin": origin, "Access-Control-Request-Method": "POST", **JSON}
                response = raw_client.request(method, path, headers, body_of(method))
                assert response.status == 403, (origin, method, path, response)
                assert not [name for name in response.headers if name.startswith("access-control")]
                if method != "HEAD":
                    assert_problem(response, "wrong_origin")
    assert count_rows(installation.engine) == counts
    installation.wait_for_audit_entry(code="wrong_origin", status=403)


def test_s7_pages_of_the_service_itself_may_call_it(
    installation: Installation, raw_client: RawClient
) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        host = f"{name}:{installation.service.port}"
        for scheme in ("http", "https"):  # https: behind a proxy that terminates TLS
            headers = {"Host": host, "Origin": f"{scheme}://{host}", **JSON}
            response = raw_client.request("POST", "/v1/jobs", headers, b"{}")
            assert response.code == "invalid_request"
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "",
        "text/plain; application/json",
    ],
)
def test_s7_content_types_of_forms_are_refused_by_every_post(
    installation: Installation, content_type: str
) -> None:
    """A browser sends these across origins without a preflight request."""
    counts = count_rows(installation.engine)
    paths = installation.client.get("/openapi.json").json()["paths"]
    requests = 0
    for path, methods in paths.items():
        body = methods.get("post", {}).get("requestBody", {}).get("content", {})
        if "application/json" in body:
            response = installation.client.post(
                path.replace("{job_id}", "x"),
                content=b'{"name": "x", "scopes": ["read"]}',
                headers={"Content-Type": content_type},
            )
            assert_problem(response, "unsupported_media_type")
            requests += 1
    assert requests >= 6
    assert count_rows(installation.engine) == counts
    installation.wait_for_audit_entry(code="unsupported_media_type")


def test_s7_an_api_key_in_a_cookie_authenticates_nobody(
    installation: Installation, raw_client: RawClient
) -> None:
    raw_client.key = None
    counts = count_rows(installation.engine)
    own_origin = f"http://127.0.0.1:{installation.service.port}"
    for headers in (
        {},
        {"Origin": own_origin},
        {"Sec-Fetch-Site": "same-origin", "Referer": f"{own_origin}/docs"},
    ):
        for cookie in (f"Authorization=Bearer {KEY}", f"session={KEY}; key={KEY}; token={KEY}"):
            response = raw_client.request(
                "POST", "/v1/jobs", {"Cookie": cookie, **headers, **JSON}, b"{}"
            )
            assert_problem(response, "unauthenticated")
            assert "set-cookie" not in response.headers
    assert count_rows(installation.engine) == counts


def sign_in(installation: Installation) -> str:
    """Begin a session, and return its cookie."""
    response = httpx2.post(f"{installation.service.url}/v1/session", json={"key": KEY})
    assert response.status_code == 201
    return str(response.headers["Set-Cookie"]).partition(";")[0]


def test_s7_a_stolen_cookie_without_the_origin_changes_nothing(
    installation: Installation, raw_client: RawClient
) -> None:
    """Whatever a page of another site, a form, or a script without a browser sends with it."""
    cookie = {"Cookie": sign_in(installation)}
    raw_client.key = None
    counts = count_rows(installation.engine)
    paths = installation.client.get("/openapi.json").json()["paths"]
    changes = [
        (method.upper(), re.sub(r"{\w+}", "x", path))
        for path, methods in paths.items()
        for method in methods
        if method in {"post", "put", "patch", "delete"} and path != "/v1/session"
    ]
    assert len(changes) > 20
    for method, path in [*changes, ("DELETE", "/v1/session")]:
        for headers in (
            {},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none", "Referer": f"{installation.service.url}/"},
        ):
            response = raw_client.request(
                method, path, {**cookie, **JSON, **headers}, body_of(method)
            )
            assert_problem(response, "wrong_origin")
    assert count_rows(installation.engine) == counts
    assert raw_client.request("GET", "/v1/session", cookie).status == 200


def test_s7_a_cookie_with_another_sites_origin_is_refused(
    installation: Installation, raw_client: RawClient
) -> None:
    cookie = {"Cookie": sign_in(installation)}
    raw_client.key = None
    counts = count_rows(installation.engine)
    for template in WRONG_ORIGINS:
        origin = template.format(port=installation.service.port)
        for site in ("same-origin", "cross-site"):
            headers = {**cookie, **JSON, "Origin": origin, "Sec-Fetch-Site": site}
            assert_problem(raw_client.request("POST", "/v1/keys", headers, b"{}"), "wrong_origin")
    assert count_rows(installation.engine) == counts


def test_s7_another_site_reads_nothing_with_the_cookie(
    installation: Installation, raw_client: RawClient
) -> None:
    cookie = {"Cookie": sign_in(installation)}
    raw_client.key = None
    for path in ("/v1/jobs", "/v1/session", "/v1/audit"):
        headers = {**cookie, "Sec-Fetch-Site": "cross-site"}
        assert_problem(raw_client.request("GET", path, headers), "wrong_origin")
        assert raw_client.request("HEAD", path, headers).status in {403, 405}
        for site in ("same-origin", "none"):
            headers = {**cookie, "Sec-Fetch-Site": site}
            assert raw_client.request("GET", path, headers).status == 200


def test_s7_the_services_own_pages_change_things_by_cookie(
    installation: Installation, raw_client: RawClient
) -> None:
    cookie = {"Cookie": sign_in(installation)}
    raw_client.key = None
    own_origin = f"http://127.0.0.1:{installation.service.port}"
    for number, proof in enumerate(({"Origin": own_origin}, {"Sec-Fetch-Site": "same-origin"})):
        body = b'{"name": "by-cookie-%d", "scopes": ["read"]}' % number
        response = raw_client.request("POST", "/v1/keys", {**cookie, **JSON, **proof}, body)
        assert response.status == 201


def test_s7_an_allowed_origin_may_call_and_read_without_cookies(
    settings: Settings, engine: Engine
) -> None:
    page = "https://dashboard.example"
    settings = settings.model_copy(
        update={"allowed_origins": f"{page}/, https://other.example:8443"}
    )
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    with TestClient(create_app(settings)) as client:
        response = client.options("/v1/jobs", headers={"Origin": page, **preflight})
        allowed = response.headers["Access-Control-Allow-Origin"]
        assert (response.status_code, allowed) == (200, page)
        assert "access-control-allow-credentials" not in response.headers
        response = client.post(
            "/v1/jobs", headers={"Origin": page, **bearer(KEY)}, json=training_body()
        )
        allowed = response.headers["Access-Control-Allow-Origin"]
        assert (response.status_code, allowed) == (201, page)
        for origin in (
            "https://dashboard.example.evil",
            "http://dashboard.example",
            "https://other.example",
        ):
            response = client.options("/v1/jobs", headers={"Origin": origin, **preflight})
            assert_problem(response, "wrong_origin")
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("host", "status"), [("192.168.7.9:8321", 200), ("[2001:db8::7]", 200), ("evil.example", 403)]
)
def test_s7_a_wildcard_address_allows_ip_hosts_but_no_names(
    settings: Settings, engine: Engine, host: str, status: int
) -> None:
    """A name could be resolved to this machine by anybody (DNS rebinding), an address could not."""
    with TestClient(create_app(settings.model_copy(update={"host": "0.0.0.0"}))) as client:
        assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_s7_over_tls_plain_http_origins_are_refused_and_hsts_set(
    settings: Settings, engine: Engine
) -> None:
    """HSTS (Strict-Transport-Security) tells the browser to stay with HTTPS."""
    with TestClient(create_app(settings), base_url="https://localhost") as client:
        response = client.get("/healthz")
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert_problem(
            client.get("/healthz", headers={"Origin": "http://localhost"}), "wrong_origin"
        )


def test_s7_forwarded_headers_of_a_trusted_proxy_are_used(
    start_service: Callable[..., Service], engine: Engine
) -> None:
    service = start_service(trusted_proxies="127.0.0.1, 10.0.0.1")
    response = service.client.get(
        "/v1/jobs/none", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    )
    assert "Strict-Transport-Security" in response.headers
    wait_until(
        lambda: bool(service.client.get("/v1/audit").json()["data"]),
        what="an entry of the audit log",
    )
    assert service.client.get("/v1/audit").json()["data"][0]["address"] == "203.0.113.7"
