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


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert set(found) == FIELDS
    assert (found["status"], found["code"]) == (status, code)
    assert found["request_id"] == answer.headers["X-Request-Id"]
    assert found["detail"].endswith((".", ")"))
    return found


def test_an_unknown_address_is_a_problem_document(client: TestClient) -> None:
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
def test_a_wrong_method_is_told_the_right_ones(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


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
def test_a_body_of_another_media_type_is_refused(client: TestClient, content_type: str) -> None:
    answer = client.post(
        "/v1/jobs", content=json.dumps(training_body()), headers={"Content-Type": content_type}
    )
    problem(answer, 415, "unsupported_media_type")


def test_json_with_a_charset_is_json(client: TestClient) -> None:
    answer = client.post(
        "/v1/jobs",
        content=json.dumps(training_body()),
        headers={"Content-Type": 'Application/JSON; charset="UTF-8"'},
    )
    assert answer.status_code == 201


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
def test_what_is_not_json_is_a_400(client: TestClient, body: bytes, code: str) -> None:
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
def test_text_that_no_database_can_hold_is_a_422(client: TestClient, value: str) -> None:
    body = json.dumps(training_body(name=value, metadata={"k": value})).encode()
    found = problem(client.post("/v1/jobs", content=body, headers=JSON), 422, "invalid_request")
    assert [error["path"] for error in found["errors"]] == [["name"], ["metadata", "k"]]


def test_a_number_beyond_all_floats_is_a_422(client: TestClient) -> None:
    body = (
        json.dumps(training_body())
        .replace('"learning_rate": 0.1', '"learning_rate": 1e309')
        .encode()
    )
    problem(client.post("/v1/jobs", content=body, headers=JSON), 422, "invalid_request")


def test_a_body_beyond_the_limit_is_a_413_declared_or_not(client: TestClient) -> None:
    large = b" " * (2**20 + 1)
    problem(client.post("/v1/jobs", content=large, headers=JSON), 413, "too_large")
    problem(
        client.post("/v1/jobs", content=iter([large[: 2**19]] * 3), headers=JSON), 413, "too_large"
    )


def test_a_request_id_is_echoed_or_made(client: TestClient) -> None:
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


def test_what_nobody_foresaw_is_a_500_that_tells_nothing(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError("secret at /srv/secret.py")

    job = create_job(engine)
    monkeypatch.setattr(from_rows, "job", explode)
    with TestClient(create_app(settings), headers=bearer(KEY)) as client:
        answer = client.get(f"/v1/jobs/{job.id}")
    found = problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert found["detail"] == "The service failed; its log says why."


def test_every_answer_carries_the_security_headers(
    client: TestClient, anonymous: TestClient
) -> None:
    for answer in (
        client.get("/v1/jobs"),
        anonymous.get("/v1/jobs"),
        client.get("/none"),
        client.get("/docs"),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert client.get("/v1/jobs").headers["Cache-Control"] == "no-store"
    assert "Server" not in client.get("/v1/jobs").headers


def test_a_value_that_is_long_is_not_repeated(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=training_body(seed="x" * 5000))
    assert len(answer.content) < 1000
