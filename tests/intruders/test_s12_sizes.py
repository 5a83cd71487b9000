"""S12: oversized numbers, bodies and heads are refused at once.

Other clients are served meanwhile.
"""

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


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def body_with(**changes: Any) -> bytes:
    """Return a valid training job with these changes, as JSON."""
    return encode(training_body(**changes))


BODIES: dict[str, tuple[bytes, int]] = {
    "10^9 epochs": (body_with(schedule={"epochs": 10**9}), 422),
    "10^7 images in a batch": (body_with(schedule={"epochs": 1, "batch_size": 10**7}), 422),
    "10^400 epochs": (body_with(schedule={"epochs": 10**400}), 422),
    "NaN": (body_with().replace(b'"learning_rate": 0.1', b'"learning_rate": NaN'), 400),
    "Infinity": (body_with().replace(b'"learning_rate": 0.1', b'"learning_rate": Infinity'), 400),
    "1e309": (body_with().replace(b'"learning_rate": 0.1', b'"learning_rate": 1e309'), 422),
    "-1e309 as an integer": (body_with().replace(b'"epochs": 1', b'"epochs": -1e309'), 422),
    "a number of 900,000 digits": (b'{"seed":' + b"9" * 900_000 + b"}", 400),
    "a fraction of 900,000 digits": (b'{"seed":0.' + b"9" * 900_000 + b"}", 422),
    "10^5 nested arrays": (b"[" * 100_000 + b"]" * 100_000, 413),
    "10^5 nested objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 413),
    "3,000 nested arrays": (b"[" * 3_000 + b"]" * 3_000, 400),
    "65 nested objects": (b'{"a":' * 65 + b"1" + b"}" * 65, 400),
    "60,000 unknown fields": (
        encode({**training_body(), **{f"f{number}": 1 for number in range(60_000)}}),
        413,
    ),
    "3,900 invalid items in a list": (body_with(evaluation={"attacks": [1] * 3_900}), 422),
    "1,300 unknown fields": (
        encode({**training_body(), **{f"f{number}": 1 for number in range(1_300)}}),
        422,
    ),
    "250,000 invalid items in a list": (body_with(evaluation={"attacks": [{}] * 250_000}), 413),
    "a text of 900,000 characters": (body_with(name="x" * 900_000), 422),
    "a key of 900,000 characters": (body_with(metadata={"x" * 900_000: "x"}), 422),
    "300,000 empty arrays": (b"[" + b"[]," * 300_000 + b"[]]", 413),
    "500,000 escaped quotes in an unterminated text": (b'{"a' + b'\\"' * 500_000, 400),
    "2 MB": (b" " * 2**21, 413),
}
"""Bodies of POST /v1/jobs, and the status of each response."""
SWEEPS: dict[str, tuple[bytes, int]] = {
    "10^8 jobs": (
        encode({"base": {}, "axes": {f"a{number}": list(range(10)) for number in range(8)}}),
        422,
    ),
    "300 jobs with 1,300 errors each": (
        encode(
            {
                "base": {**training_body(), **{f"f{number}": 1 for number in range(1_300)}},
                "axes": {"seed": list(range(300))},
            }
        ),
        422,
    ),
    "nine axes": (encode({"base": {}, "axes": {f"a{number}": [1] for number in range(9)}}), 422),
}


@pytest.mark.parametrize("name", [*BODIES, *SWEEPS])
def test_s12_oversized_bodies_are_refused_at_once(
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


def unbounded(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the paths in a JSON Schema at which a number, text or list is unbounded."""
    kinds = schema.get("type")
    if "enum" in schema or "const" in schema:
        return
    if kinds in ("integer", "number") and not (
        schema.keys() & {"maximum", "exclusiveMaximum"}
        and schema.keys() & {"minimum", "exclusiveMinimum"}
    ):
        yield path
    if kinds == "string" and "maxLength" not in schema and "pattern" not in schema:
        yield path
    if kinds == "array" and "maxItems" not in schema:
        yield path
    for name, part in schema.items():
        if isinstance(part, dict):
            yield from unbounded(part, f"{path}/{name}")
        elif isinstance(part, list):
            for number, item in enumerate(part):
                if isinstance(item, dict):
                    yield from unbounded(item, f"{path}/{name}/{number}")


BOUNDED_BY_VALIDATORS = ("ResizedCrop/properties", "properties/axes/patternProperties")
"""Paths that a validator bounds: scales and ratios of a crop, and the values of a sweep's axes, of
which there are 300 jobs at most."""
BODY_TYPES: tuple[Any, ...] = (
    SubmittedSpec,
    SweepSpec,
    CreateModelRequest,
    CreateDatasetRequest,
    CreateKeyRequest,
    CreateProjectRequest,
)


def test_s12_every_number_text_and_list_of_a_body_is_bounded() -> None:
    paths: list[str] = []
    for body_type in BODY_TYPES:
        name = getattr(body_type, "__name__", "SubmittedSpec")
        schema = TypeAdapter(body_type).json_schema()
        paths += [f"{name}{path}" for path in unbounded(schema)]
    assert [path for path in paths if not any(part in path for part in BOUNDED_BY_VALIDATORS)] == []
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


def fill_head(installation: Installation, template: bytes) -> bytes:
    """Return the head with the installation's address and a valid key."""
    host = f"Host: 127.0.0.1:{installation.service.port}\r\n"
    key = f"Authorization: {installation.client.headers['Authorization']}\r\n"
    return template.replace(b"{host}", host.encode()).replace(b"{key}", key.encode())


@pytest.mark.parametrize("name", HEADS)
def test_s12_oversized_heads_are_refused_at_once(
    installation: Installation, raw_client: RawClient, name: str, record_property: RecordProperty
) -> None:
    memory = installation.service.memory()
    start = time.perf_counter()
    response = raw_client.send(fill_head(installation, HEADS[name]))
    record_property("ms", round(1000 * (time.perf_counter() - start)))
    assert (response.status, response.headers["content-type"]) == (431, "application/problem+json")
    assert response.code == "head_too_large"
    assert installation.service.memory() - memory < 100 * 2**20


def test_s12_a_slightly_oversized_head_is_a_problem_and_audited(
    installation: Installation, raw_client: RawClient
) -> None:
    response = raw_client.send(fill_head(installation, HEADS["101 headers"]))
    assert_problem(response, "head_too_large")
    installation.wait_for_audit_entry(code="head_too_large", status=431)
    assert raw_client.request("GET", "/v1/jobs").status == 200


def test_s12_several_or_invalid_ranges_return_the_whole_file(
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


def test_s12_form_data_of_any_size_is_refused(
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
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"\0" * 100,
    ],
    ids=lambda data: repr(data)[:30],
)
def test_s12_malformed_http_is_a_400_that_closes_the_connection(
    installation: Installation, raw_client: RawClient, data: bytes
) -> None:
    response = raw_client.send(data)
    assert (response.status, response.code) == (400, "malformed_request")
    assert response.headers["connection"] == "close"


def trickle(
    installation: Installation, connections: list[socket.socket], stop: threading.Event
) -> None:
    """Send the start of a request on each connection, then a byte now and then until ``stop``.

    The even ones never end their head, the odd ones never end their body.
    """
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{installation.service.port}\r\n"
    key = f"Authorization: {installation.client.headers['Authorization']}\r\n"
    slow_head = head + "X-Slow: "
    slow_body = f"{head}{key}Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{"
    for number, connection in enumerate(connections):
        connection.sendall((slow_body if number % 2 else slow_head).encode())
    while not stop.wait(0.2):
        for connection in connections:
            connection.sendall(b" ")


def flood(installation: Installation, stop: threading.Event) -> None:
    """Send one large invalid body after the other until ``stop``."""
    raw_client = RawClient(installation.service.port)
    body = BODIES["3,900 invalid items in a list"][0]
    while not stop.is_set():
        assert raw_client.request("POST", "/v1/jobs", JSON, body).status == 422
    raw_client.close()


def receive_until_closed(connection: socket.socket) -> bytes:
    connection.settimeout(60)
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_s12_slow_heads_and_bodies_do_not_delay_other_clients(
    installation: Installation, record_property: RecordProperty
) -> None:
    """200 connections trickle and one floods while a bystander is served.

    A head that does not end is given up with a 408.
    """
    stop = threading.Event()
    start = time.monotonic()
    address = ("127.0.0.1", installation.service.port)
    connections = [socket.create_connection(address) for _ in range(200)]
    memory = installation.service.memory()
    threads = [
        threading.Thread(target=trickle, args=(installation, connections, stop)),
        threading.Thread(target=flood, args=(installation, stop)),
    ]
    with run_bystander(installation, record_property):
        for thread in threads:
            thread.start()
        time.sleep(3)
        stop.set()
        for thread in threads:
            thread.join()
    record_property("memory_mb", (installation.service.memory() - memory) >> 20)
    assert installation.service.memory() - memory < 100 * 2**20
    response = receive_until_closed(connections[0])
    record_property("slow_head_seconds", round(time.monotonic() - start, 1))
    assert b" 408 " in response.split(b"\r\n")[0]
    assert json.loads(response.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"
    for connection in connections:
        connection.close()


def test_s12_no_refusal_leaves_a_traceback_in_the_log(installation: Installation) -> None:
    """Of all requests that the tests of this run have sent so far."""
    assert "Traceback" not in installation.log
