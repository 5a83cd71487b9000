"""S7: requests that were sent to another name, by another page, or in a form that a page can send without asking."""

from collections.abc import Callable
from typing import Any

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

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
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


def rows(engine: Engine) -> list[int]:
    """How many there are of everything that a caller can make."""
    with read_session(engine) as session:
        tables: list[Any] = [JobRow, SweepRow, ModelRow, DatasetRow, ApiKeyRow, ProjectRow]
        return [session.scalars(select(func.count()).select_from(table)).one() for table in tables]


def test_s7_a_request_sent_to_another_name_is_refused_by_all_methods_with_a_good_key(
    installation: Installation, raw_client: RawClient
) -> None:
    before = rows(installation.engine)
    for wrong in WRONG_HOSTS:
        host = wrong.format(port=installation.service.port)
        for method in VERBS:
            for path in PATHS:
                response = raw_client.request(
                    method,
                    path,
                    {"Host": host, **JSON},
                    b"{}" if method in {"POST", "PUT", "PATCH"} else b"",
                )
                assert response.status == 403, (host, method, path, response)
                if method != "HEAD":
                    assert_problem(response, "wrong_host")
    assert rows(installation.engine) == before
    installation.wait_for_audit_entry(code="wrong_host", status=403, key_id=None)
    assert len(installation.audit_entries(code="wrong_host")) <= 12  # of a thousand


def test_s7_a_host_that_is_missing_or_there_twice_is_refused(
    installation: Installation, raw_client: RawClient
) -> None:
    key = f"Authorization: Bearer {KEY}\r\n"
    for hosts in (
        "",
        f"Host: 127.0.0.1:{installation.service.port}\r\nHost: evil.example\r\n",
        "Host: evil.example\r\nHost: localhost\r\n",
    ):
        assert_problem(
            raw_client.send(f"GET /v1/jobs HTTP/1.1\r\n{hosts}{key}\r\n".encode()), "wrong_host"
        )


def test_s7_what_a_proxy_would_say_is_not_believed_unasked(
    installation: Installation, raw_client: RawClient
) -> None:
    forwarded = {
        "X-Forwarded-Host": "localhost",
        "Forwarded": "host=localhost",
        "X-Forwarded-For": "10.1.2.3",
    }
    assert_problem(
        raw_client.request("GET", "/v1/jobs", {"Host": "evil.example", **forwarded}), "wrong_host"
    )
    assert (
        raw_client.request(
            "GET", "/v1/jobs", {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
        ).status
        == 200
    )
    assert (
        "strict-transport-security"
        not in raw_client.request("GET", "/healthz", {"X-Forwarded-Proto": "https"}).headers
    )
    assert {line.address for line in installation.audit_entries()} <= {"127.0.0.1"}


def test_s7_a_page_of_another_origin_is_refused_by_all_methods_and_may_read_nothing(
    installation: Installation, raw_client: RawClient
) -> None:
    before = rows(installation.engine)
    for wrong in WRONG_ORIGINS:
        origin = wrong.format(port=installation.service.port)
        for method in VERBS:
            for path in PATHS:
                headers = {"Origin": origin, "Access-Control-Request-Method": "POST", **JSON}
                response = raw_client.request(
                    method, path, headers, b"{}" if method in {"POST", "PUT", "PATCH"} else b""
                )
                assert response.status == 403, (origin, method, path, response)
                assert not [name for name in response.headers if name.startswith("access-control")]
                if method != "HEAD":
                    assert_problem(response, "wrong_origin")
    assert rows(installation.engine) == before
    installation.wait_for_audit_entry(code="wrong_origin", status=403)


def test_s7_the_services_own_pages_may_call_it(
    installation: Installation, raw_client: RawClient
) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        place = f"{name}:{installation.service.port}"
        for scheme in ("http", "https"):  # behind a proxy that speaks TLS
            response = raw_client.request(
                "POST", "/v1/jobs", {"Host": place, "Origin": f"{scheme}://{place}", **JSON}, b"{}"
            )
            assert response.code == "invalid_request"
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "",
        "text/plain; application/json",
    ],
)
def test_s7_what_a_page_can_send_without_asking_is_refused_by_every_operation_with_a_body(
    installation: Installation, kind: str
) -> None:
    before = rows(installation.engine)
    paths = installation.client.get("/openapi.json").json()["paths"]
    tried = 0
    for path, methods in paths.items():
        body = methods.get("post", {}).get("requestBody", {}).get("content", {})
        if "application/json" in body:
            response = installation.client.post(
                path.replace("{job_id}", "x"),
                content=b'{"name": "x", "scopes": ["read"]}',
                headers={"Content-Type": kind},
            )
            assert_problem(response, "unsupported_media_type")
            tried += 1
    assert tried >= 6
    assert rows(installation.engine) == before
    installation.wait_for_audit_entry(code="unsupported_media_type")


def test_s7_a_cookie_is_no_key_with_an_origin_or_without(
    installation: Installation, raw_client: RawClient
) -> None:
    raw_client.key = None
    before = rows(installation.engine)
    own = f"http://127.0.0.1:{installation.service.port}"
    for headers in (
        {},
        {"Origin": own},
        {"Sec-Fetch-Site": "same-origin", "Referer": f"{own}/docs"},
    ):
        for cookie in (f"Authorization=Bearer {KEY}", f"session={KEY}; key={KEY}; token={KEY}"):
            response = raw_client.request(
                "POST", "/v1/jobs", {"Cookie": cookie, **headers, **JSON}, b"{}"
            )
            assert_problem(response, "unauthenticated")
            assert "set-cookie" not in response.headers
    assert rows(installation.engine) == before


def test_s7_an_allowed_page_may_call_and_read_without_cookies(
    settings: Settings, engine: Engine
) -> None:
    page = "https://dashboard.example"
    setup = settings.model_copy(update={"allowed_origins": f"{page}/, https://other.example:8443"})
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    with TestClient(create_app(setup)) as client:
        asked = client.options("/v1/jobs", headers={"Origin": page, **ask})
        assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, page)
        assert "access-control-allow-credentials" not in asked.headers
        made = client.post(
            "/v1/jobs", headers={"Origin": page, **bearer(KEY)}, json=training_body()
        )
        assert (made.status_code, made.headers["Access-Control-Allow-Origin"]) == (201, page)
        for wrong in (
            "https://dashboard.example.evil",
            "http://dashboard.example",
            "https://other.example",
        ):
            response = client.options("/v1/jobs", headers={"Origin": wrong, **ask})
            assert_problem(response, "wrong_origin")
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("host", "status"), [("192.168.7.9:8321", 200), ("[2001:db8::7]", 200), ("evil.example", 403)]
)
def test_s7_where_it_listens_at_every_address_each_is_its_own_but_no_name_is(
    settings: Settings, engine: Engine, host: str, status: int
) -> None:
    with TestClient(create_app(settings.model_copy(update={"host": "0.0.0.0"}))) as client:
        assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_s7_over_tls_a_page_of_plain_http_is_refused_and_the_browser_is_told_to_stay(
    settings: Settings, engine: Engine
) -> None:
    with TestClient(create_app(settings), base_url="https://localhost") as client:
        response = client.get("/healthz")
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert_problem(
            client.get("/healthz", headers={"Origin": "http://localhost"}), "wrong_origin"
        )


def test_s7_a_trusted_proxy_is_believed_and_only_then(
    start_service: Callable[..., Service], engine: Engine
) -> None:
    service = start_service(trusted_proxies="127.0.0.1, 10.0.0.1")
    response = service.client.get(
        "/v1/jobs/none", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    )
    assert "Strict-Transport-Security" in response.headers
    wait_until(
        lambda: bool(service.client.get("/v1/audit").json()["data"]), what="a line of the audit log"
    )
    assert service.client.get("/v1/audit").json()["data"][0]["address"] == "203.0.113.7"
