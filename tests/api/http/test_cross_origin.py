"""What a page of an allowed origin may send to the API and read from it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import CROSS_ORIGIN, create_app
from core.settings import Settings
from core.store.objects.store import Objects
from tests.api.builders import create_finished_job
from tests.api.conftest import KEY, bearer

PAGE = {"Origin": "https://board.example"}
SAFELISTED = {"cache-control", "content-language", "content-length", "content-type", "expires"}
"""Response headers that every page may read, and those that no page has a use for."""
FOR_BROWSERS = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "content-security-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "vary",
    "x-content-type-options",
}


@pytest.fixture
def page(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    """A script of an allowed page: its requests have the page's origin."""
    settings = settings.model_copy(update={"allowed_origins": PAGE["Origin"]})
    with TestClient(create_app(settings), headers=PAGE) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "header"),
    [
        ("GET", "authorization, if-none-match, cache-control"),
        ("GET", "range, if-range"),
        ("GET", "last-event-id"),
        ("POST", "content-type, idempotency-key"),
        ("PATCH", "content-type, if-match"),
        ("PUT", "traceparent, tracestate, x-request-id"),
        ("DELETE", "authorization"),
    ],
)
def test_a_preflight_allows_what_clients_send(page: TestClient, method: str, header: str) -> None:
    response = page.options(
        "/v1/jobs/x",
        headers={
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": header,
        },
    )
    assert response.status_code == 200, response.text
    assert method in response.headers["Access-Control-Allow-Methods"]
    assert "access-control-allow-credentials" not in response.headers


def test_a_preflight_refuses_other_headers(page: TestClient) -> None:
    headers = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-anything",
    }
    assert page.options("/v1/jobs", headers=headers).status_code == 400


def test_every_header_of_a_response_can_be_read(
    page: TestClient, settings: Settings, engine: Engine
) -> None:
    """Of a creation, its replay, a refusal, a list, a file and a part of it."""
    job_id = create_finished_job(engine, Objects.from_settings(settings)).job_id
    body = {"name": "x", "scopes": ["read"]}
    artifact = f"/v1/jobs/{job_id}/artifacts/best.safetensors"
    key = bearer(KEY)
    responses = [
        page.post("/v1/keys", json=body, headers={**key, "Idempotency-Key": "once"}),
        page.post("/v1/keys", json=body, headers={**key, "Idempotency-Key": "once"}),
        page.get("/v1/jobs"),
        page.get("/v1/jobs", headers=key),
        page.get(artifact, headers=key),
        page.get(artifact, headers={**key, "Range": "bytes=0-9"}),
    ]
    assert [response.status_code for response in responses] == [201, 201, 401, 200, 200, 206]
    readable = SAFELISTED | {name.lower() for name in CROSS_ORIGIN["expose_headers"]}
    for response in responses:
        exposed = response.headers["Access-Control-Expose-Headers"].lower().split(", ")
        assert set(exposed) <= readable
        assert set(response.headers) - FOR_BROWSERS <= SAFELISTED | set(exposed)
    assert responses[1].headers["Idempotency-Replayed"] == "true"
    assert {"repr-digest", "etag", "content-range"} <= set(responses[5].headers)


def test_another_page_can_do_nothing(page: TestClient) -> None:
    response = page.get("/v1/jobs", headers={**bearer(KEY), "Origin": "https://evil.example"})
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_an_allowed_page_cannot_use_the_session(page: TestClient) -> None:
    """It is on another site, to which browsers send no such cookie, and gets no credentials."""
    own_page = {"Origin": "http://testserver"}
    assert page.post("/v1/session", json={"key": KEY}, headers=own_page).status_code == 201
    response = page.get("/v1/jobs", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert "access-control-allow-credentials" not in response.headers
