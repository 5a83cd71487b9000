"""S12: numbers, bodies and heads beyond all measure are refused at once, and a bystander is answered meanwhile."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from api.representation.schemas import (
    CreateDatasetRequest,
    CreateKeyRequest,
    CreateModelRequest,
    CreateProjectRequest,
)
from core.jobspec.job import SubmittedSpec
from core.jobspec.sweep import SweepSpec
from tests.api.builders import create_artifact
from tests.builders import create_attempt, training_body
from tests.intruders.installation import Installation, run_bystander
from tests.intruders.problems import assert_problem
from tests.intruders.raw_client import RawClient
from tests.measurements import RecordProperty

JSON = {"Content-Type": "application/json"}
MOST_SECONDS = 1.0


def as_text(value: Any) -> bytes:
    return json.dumps(value).encode()


def numbers(**changes: Any) -> bytes:
    return as_text(training_body(**changes))


BODIES: dict[str, tuple[bytes, int]] = {
    "10^9 epochs": (numbers(schedule={"epochs": 10**9}), 422),
    "10^7 images in a batch": (numbers(schedule={"epochs": 1, "batch_size": 10**7}), 422),
    "10^400 epochs": (numbers(schedule={"epochs": 10**400}), 422),
    "NaN": (numbers().replace(b'"learning_rate": 0.1', b'"learning_rate": NaN'), 400),
    "Infinity": (numbers().replace(b'"learning_rate": 0.1', b'"learning_rate": Infinity'), 400),
    "1e309": (numbers().replace(b'"learning_rate": 0.1', b'"learning_rate": 1e309'), 422),
    "-1e309 as a whole number": (numbers().replace(b'"epochs": 1', b'"epochs": -1e309'), 422),
    "a number of 900,000 digits": (b'{"seed":' + b"9" * 900_000 + b"}", 400),
    "a fraction of 900,000 digits": (b'{"seed":0.' + b"9" * 900_000 + b"}", 422),
    "10^5 arrays in each other": (b"[" * 100_000 + b"]" * 100_000, 413),
    "10^5 objects in each other": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 413),
    "3,000 arrays in each other": (b"[" * 3_000 + b"]" * 3_000, 400),
    "65 deep": (b'{"a":' * 65 + b"1" + b"}" * 65, 400),
    "60,000 unknown fields": (
        as_text({**training_body(), **{f"f{number}": 1 for number in range(60_000)}}),
        413,
    ),
    "3,900 wrong things in a list": (numbers(evaluation={"attacks": [1] * 3_900}), 422),
    "1,300 unknown fields": (
        as_text({**training_body(), **{f"f{number}": 1 for number in range(1_300)}}),
        422,
    ),
    "250,000 wrong things in a list": (numbers(evaluation={"attacks": [{}] * 250_000}), 413),
    "a text of 900,000 letters": (numbers(name="x" * 900_000), 422),
    "a key of 900,000 letters": (numbers(metadata={"x" * 900_000: "x"}), 422),
    "300,000 empty arrays": (b"[" + b"[]," * 300_000 + b"[]]", 413),
    "500,000 escaped quotes in a text without an end": (b'{"a' + b'\\"' * 500_000, 400),
    "2 MB": (b" " * 2**21, 413),
}
SWEEPS: dict[str, tuple[bytes, int]] = {
    "10^8 jobs": (
        as_text({"base": {}, "axes": {f"a{number}": list(range(10)) for number in range(8)}}),
        422,
    ),
    "300 jobs with 1,300 mistakes each": (
        as_text(
            {
                "base": {**training_body(), **{f"f{number}": 1 for number in range(1_300)}},
                "axes": {"seed": list(range(300))},
            }
        ),
        422,
    ),
    "nine axes": (as_text({"base": {}, "axes": {f"a{number}": [1] for number in range(9)}}), 422),
}


@pytest.mark.parametrize("name", [*BODIES, *SWEEPS])
def test_s12_a_body_beyond_all_measure_is_refused_at_once(
    installation: Installation, raw_client: RawClient, name: str, record_property: RecordProperty
) -> None:
    body, status = {**BODIES, **SWEEPS}[name]
    memory = installation.service.memory()
    start = time.perf_counter()
    response = raw_client.request(
        "POST", "/v1/sweeps" if name in SWEEPS else "/v1/jobs", JSON, body
    )
    record_property("ms", round(1000 * (time.perf_counter() - start)))
    assert response.status == status, response
    assert_problem(response)
    assert len(response.body) < 30_000
    assert installation.service.memory() - memory < 100 * 2**20


def unbounded(schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """Places in a JSON Schema that may hold a number, a text or a list without an end."""
    kinds = schema.get("type")
    if "enum" in schema or "const" in schema:
        return
    if kinds in ("integer", "number") and not (
        schema.keys() & {"maximum", "exclusiveMaximum"}
        and schema.keys() & {"minimum", "exclusiveMinimum"}
    ):
        yield where
    if kinds == "string" and "maxLength" not in schema and "pattern" not in schema:
        yield where
    if kinds == "array" and "maxItems" not in schema:
        yield where
    for name, part in schema.items():
        if isinstance(part, dict):
            yield from unbounded(part, f"{where}/{name}")
        elif isinstance(part, list):
            for number, item in enumerate(part):
                if isinstance(item, dict):
                    yield from unbounded(item, f"{where}/{name}/{number}")


ELSEWHERE = ("ResizedCrop/properties", "properties/axes/patternProperties")
"""Whose ends a validator sees to: a crop's shares and shapes; a sweep's values, of which it takes 300 jobs' worth."""


def test_s12_every_number_text_and_list_that_a_caller_sends_has_an_end() -> None:
    found: list[str] = []
    for body in (
        SubmittedSpec,
        SweepSpec,
        CreateModelRequest,
        CreateDatasetRequest,
        CreateKeyRequest,
        CreateProjectRequest,
    ):
        schema = TypeAdapter(body).json_schema()
        found += [
            f"{getattr(body, '__name__', 'SubmittedJob')}{place}" for place in unbounded(schema)
        ]
    assert [place for place in found if not any(known in place for known in ELSEWHERE)] == []
    assert len(get_args(get_args(SubmittedSpec)[0])) == 3


HEADS: dict[str, bytes] = {
    "10^5 query parameters": b"GET /v1/jobs?" + b"a=1&" * 100_000 + b" HTTP/1.1\r\n{host}{key}\r\n",
    "an address of 1 MB": b"GET /v1/jobs/" + b"x" * 10**6 + b" HTTP/1.1\r\n{host}{key}\r\n",
    "10^5 headers": b"GET /v1/jobs HTTP/1.1\r\n{host}{key}" + b"A: b\r\n" * 100_000 + b"\r\n",
    "101 headers": b"GET /v1/jobs HTTP/1.1\r\n{host}{key}" + b"A: b\r\n" * 101 + b"\r\n",
    "a header of 1 MB": b"GET /v1/jobs HTTP/1.1\r\n{host}{key}A: " + b"b" * 10**6 + b"\r\n\r\n",
    "a header's name of 1 MB": b"GET /v1/jobs HTTP/1.1\r\n{host}{key}"
    + b"b" * 10**6
    + b": a\r\n\r\n",
    "50,000 ranges": b"GET /v1/jobs HTTP/1.1\r\n{host}{key}Range: bytes="
    + b"0-0," * 50_000
    + b"0-0\r\n\r\n",
    "a key of 1 MB": b"GET /v1/jobs HTTP/1.1\r\n{host}Authorization: Bearer "
    + b"b" * 10**6
    + b"\r\n\r\n",
}


def head(installation: Installation, template: bytes) -> bytes:
    host, key = (
        f"Host: 127.0.0.1:{installation.service.port}\r\n",
        f"Authorization: {installation.client.headers['Authorization']}\r\n",
    )
    return template.replace(b"{host}", host.encode()).replace(b"{key}", key.encode())


@pytest.mark.parametrize("name", HEADS)
def test_s12_a_head_beyond_all_measure_is_refused_at_once(
    installation: Installation, raw_client: RawClient, name: str, record_property: RecordProperty
) -> None:
    memory = installation.service.memory()
    start = time.perf_counter()
    response = raw_client.send(head(installation, HEADS[name]))
    record_property("ms", round(1000 * (time.perf_counter() - start)))
    assert (response.status, response.headers["content-type"]) == (431, "application/problem+json")
    assert response.code == "head_too_large"
    assert installation.service.memory() - memory < 100 * 2**20


def test_s12_a_head_that_is_only_a_little_too_large_is_a_whole_problem_with_a_line(
    installation: Installation, raw_client: RawClient
) -> None:
    response = raw_client.send(head(installation, HEADS["101 headers"]))
    assert_problem(response, "head_too_large")
    installation.wait_for_audit_entry(code="head_too_large", status=431)
    assert raw_client.request("GET", "/v1/jobs").status == 200


def test_s12_ranges_of_a_stored_file_are_one_or_none(
    installation: Installation, raw_client: RawClient
) -> None:
    attempt = create_attempt(installation.engine)
    create_artifact(installation.engine, installation.objects, attempt, "ranges.bin", b"0123456789")
    target = f"/v1/jobs/{attempt.job_id}/artifacts/ranges.bin"
    for ranges in (
        "bytes=" + "0-0," * 5000 + "0-0",
        "bytes=0-1,2-3",
        "bytes=--1",
        "bytes=" + "9" * 5000 + "-",
        "lines=0-1",
    ):
        response = raw_client.request("GET", target, {"Range": ranges})
        assert (response.status, response.body) == (200, b"0123456789")
    assert raw_client.request("GET", target, {"Range": "bytes=10-"}).status == 416


def test_s12_10_000_form_parts_are_not_even_looked_at(
    installation: Installation, raw_client: RawClient
) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'
    for count in (10_000, 100_000):
        response = raw_client.request(
            "POST",
            "/v1/jobs",
            {"Content-Type": "multipart/form-data; boundary=b"},
            part * count + b"--b--\r\n",
        )
        assert_problem(response, "unsupported_media_type", "too_large")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"\0" * 100,
    ],
    ids=lambda data: repr(data)[:30],
)
def test_s12_what_is_no_http_is_told_so_and_cut_off(
    installation: Installation, raw_client: RawClient, data: bytes
) -> None:
    response = raw_client.send(data)
    assert (response.status, response.code) == (400, "malformed_request")
    assert response.headers["connection"] == "close"


def test_s12_slow_heads_and_bodies_keep_nobody_waiting(
    installation: Installation, record_property: RecordProperty
) -> None:
    """200 connections that send a byte now and then, and one that floods with large mistakes, beside a bystander; a head that
    does not end is given up."""
    stop = threading.Event()
    start = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{installation.service.port}\r\n".encode()
    key = f"Authorization: {installation.client.headers['Authorization']}\r\nContent-Type: application/json\r\n".encode()
    start = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", installation.service.port)) for _ in range(200)]
    memory = installation.service.memory()

    def trickle() -> None:
        for number, connection in enumerate(slow):
            connection.sendall(
                start + (key + b"Content-Length: 100000\r\n\r\n{" if number % 2 else b"X-Slow: ")
            )
        while not stop.wait(0.2):
            for connection in slow:
                connection.sendall(b" ")

    def flood() -> None:
        raw_client, body = (
            RawClient(installation.service.port),
            BODIES["3,900 wrong things in a list"][0],
        )
        while not stop.is_set():
            assert raw_client.request("POST", "/v1/jobs", JSON, body).status == 422
        raw_client.close()

    threads = [threading.Thread(target=trickle), threading.Thread(target=flood)]
    with run_bystander(installation, record_property):
        for thread in threads:
            thread.start()
        time.sleep(3)
        stop.set()
        for thread in threads:
            thread.join()
    record_property("memory_mb", (installation.service.memory() - memory) >> 20)
    assert installation.service.memory() - memory < 100 * 2**20
    said = until_closed(slow[0])
    record_property("slow_head_seconds", round(time.monotonic() - start, 1))
    assert b" 408 " in said.split(b"\r\n")[0]
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"
    for connection in slow:
        connection.close()


def until_closed(connection: socket.socket) -> bytes:
    """All that the service says before it closes the connection."""
    connection.settimeout(60)
    said = b""
    while more := connection.recv(65536):
        said += more
    return said


def test_s12_what_is_refused_is_refused_without_a_trace(installation: Installation) -> None:
    assert "Traceback" not in installation.log
