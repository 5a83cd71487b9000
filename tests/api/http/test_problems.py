"""Malformed requests and unexpected errors become problem documents."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.representation import from_rows
from core.settings import Settings
from tests.api.conftest import KEY, bearer
from tests.builders import create_job, training_body

FIELDS = {"type", "title", "status", "detail", "instance", "code", "param", "request_id", "errors"}
JSON = {"Content-Type": "application/json"}


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert set(document) == FIELDS
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"] == response.headers["X-Request-Id"]
    assert document["detail"].endswith((".", ")"))
    return document


def test_unknown_path_is_a_problem_document(client: TestClient) -> None:
    assert problem(client.get("/v1/nothing"), 404, "not_found")["instance"] == "/v1/nothing"
    problem(client.get("/v1/jobs/"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, POST"),
        ("GET", "/v1/jobs/x/cancel", "POST"),
        ("PATCH", "/v1/models/x/content", "GET, HEAD, PUT"),
        ("POST", "/healthz", "GET"),
        ("TRACE", "/v1/keys/x", "DELETE"),
    ],
)
def test_wrong_method_is_a_405_with_the_allowed_ones(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "",
        "application/jsonx",
    ],
)
def test_body_of_another_media_type_is_refused(client: TestClient, content_type: str) -> None:
    response = client.post(
        "/v1/jobs", content=json.dumps(training_body()), headers={"Content-Type": content_type}
    )
    problem(response, 415, "unsupported_media_type")


def test_json_with_a_charset_is_accepted(client: TestClient) -> None:
    response = client.post(
        "/v1/jobs",
        content=json.dumps(training_body()),
        headers={"Content-Type": 'Application/JSON; charset="UTF-8"'},
    )
    assert response.status_code == 201


def test_json_may_begin_with_a_byte_order_mark(client: TestClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(training_body(), indent=1).replace("\n", "\r\n").encode()
    assert client.post("/v1/jobs", content=body, headers=JSON).status_code == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed_json"),
        (b'{"seed": NaN}', "malformed_json"),
        (b'{"seed": Infinity}', "malformed_json"),
        (b"\xff\xfe{}", "malformed_json"),
        (b'{"a": "\xed\xa0\x80"}', "malformed_json"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "malformed_json"),
        (b"[" * 3_000, "nested_too_deeply"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested_too_deeply"),
    ],
)
def test_malformed_json_is_a_400(client: TestClient, body: bytes, code: str) -> None:
    problem(client.post("/v1/jobs", content=body, headers=JSON), 400, code)


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"1", b'"text"', b"", b"{}", b'{"kind": 1e309}', b'{"kind": "\\ud800"}'],
)
def test_json_of_another_shape_is_a_422(client: TestClient, body: bytes) -> None:
    assert problem(client.post("/v1/jobs", content=body, headers=JSON), 422, "invalid_request")[
        "errors"
    ]


@pytest.mark.parametrize("value", ["\ud800", "a\0b"])
def test_text_no_database_can_store_is_a_422(client: TestClient, value: str) -> None:
    body = json.dumps(training_body(name=value, metadata={"k": value})).encode()
    document = problem(client.post("/v1/jobs", content=body, headers=JSON), 422, "invalid_request")
    assert [error["path"] for error in document["errors"]] == [["name"], ["metadata", "k"]]


def test_number_beyond_all_floats_is_a_422(client: TestClient) -> None:
    body = (
        json.dumps(training_body())
        .replace('"learning_rate": 0.1', '"learning_rate": 1e309')
        .encode()
    )
    problem(client.post("/v1/jobs", content=body, headers=JSON), 422, "invalid_request")


def test_body_beyond_the_limit_is_a_413(client: TestClient) -> None:
    """Whether Content-Length declares its size or not."""
    large = b" " * (2**20 + 1)
    problem(client.post("/v1/jobs", content=large, headers=JSON), 413, "too_large")
    problem(
        client.post("/v1/jobs", content=iter([large[: 2**19]] * 3), headers=JSON), 413, "too_large"
    )


def test_request_id_is_echoed_or_generated(client: TestClient) -> None:
    assert (
        client.get("/healthz", headers={"X-Request-Id": "mine-1.2_3"}).headers["X-Request-Id"]
        == "mine-1.2_3"
    )
    for bad in ("x" * 129, "two words", "<script>", ""):
        assert (
            client.get("/healthz", headers={"X-Request-Id": bad})
            .headers["X-Request-Id"]
            .startswith("req_")
        )


def test_unexpected_error_is_a_500_without_details(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError("secret at /srv/secret.py")

    job = create_job(engine)
    monkeypatch.setattr(from_rows, "job", explode)
    with TestClient(create_app(settings), headers=bearer(KEY)) as client:
        response = client.get(f"/v1/jobs/{job.id}")
    document = problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert document["detail"] == "The service failed; its log says why."


def test_every_response_has_the_security_headers(client: TestClient, anonymous: TestClient) -> None:
    for response in (
        client.get("/v1/jobs"),
        anonymous.get("/v1/jobs"),
        client.get("/none"),
        client.get("/docs"),
    ):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert client.get("/v1/jobs").headers["Cache-Control"] == "no-store"
    assert "Server" not in client.get("/v1/jobs").headers


def test_long_values_are_not_quoted(client: TestClient) -> None:
    response = client.post("/v1/jobs", json=training_body(seed="x" * 5000))
    assert len(response.content) < 1000
