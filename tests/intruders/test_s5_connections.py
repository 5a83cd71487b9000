"""S5: no request makes the service open a connection: it fetches no URLs and calls no webhooks.

``download`` takes the name of one of two data sets, never a URL, and is off unless the operator
allows it.
"""

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.settings import Settings
from core.store import jobs
from core.store.database.engine import read_session
from core.store.database.tables import DEFAULT_PROJECT
from tests.builders import create_teacher, distillation_body, training_body
from tests.measurements import RecordProperty
from tests.worker.service import Service, wait_for_end

FieldPath = tuple[str | int, ...]
"""Keys and indices that lead to a field of a body."""
Connection = tuple[Any, ...]
"""The name of a Python audit event, and its arguments without the first."""
_connections: list[Connection] = []


def _record_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        _connections.append((event, *arguments[1:]))


# An audit hook cannot be removed: this one lasts as long as the process of the tests.
sys.addaudithook(_record_connection)


@pytest.fixture
def connections() -> list[Connection]:
    """Every connection that this process makes, and every name that it looks up."""
    socket.getaddrinfo("127.0.0.1", 1)
    assert _connections, "the audit hook records nothing"
    _connections.clear()
    return _connections


@pytest.fixture
def canaries() -> Iterator[list[str]]:
    """URLs that nobody may call.

    Most are names of this machine, where two listeners fail the test if they are reached.
    """
    with ExitStack() as stack:
        ipv4 = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ipv6 = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        port = ipv4.getsockname()[1]
        port6 = ipv6.getsockname()[1]
        yield [
            f"http://127.0.0.1:{port}/x",
            f"http://2130706433:{port}/x",
            f"http://0x7f.1:{port}/x",
            f"http://[::1]:{port6}/x",
            f"http://localtest.me:{port}/x",
            "http://169.254.169.254/latest/meta-data/",
            f"s3://127.0.0.1:{port}/x",
            f"\\\\127.0.0.1@{port}\\x",
        ]
        for listener in (ipv4, ipv6):
            listener.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listener.accept()


def text_fields(body: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """Yield the path of every text in a body."""
    if isinstance(body, dict | list):
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield from text_fields(value, (*path, key))
    elif isinstance(body, str):
        yield path


def replace_field(body: Any, path: FieldPath, text: str) -> Any:
    """Return a copy of the body with this text in one field."""
    changed = deepcopy(body)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = text
    return changed


MODEL = {
    "name": "m",
    "network": {"architecture": "small_cnn", "width": 4},
    "classes": 10,
    "sha256": "0" * 64,
}
TEXTS = {"name": "x", "metadata": {"x": "x"}}
BODIES: list[tuple[str, dict[str, Any]]] = [
    (
        "/v1/jobs",
        training_body(**TEXTS, start_from="teacher", preset="reference", method={"name": "trades"}),
    ),
    (
        "/v1/jobs",
        distillation_body(
            **TEXTS, data={"dataset": "digits", "held_out": 0.1, "extra": {"dataset": "digits"}}
        ),
    ),
    (
        "/v1/jobs",
        {
            "kind": "evaluation",
            **TEXTS,
            "model": "teacher",
            "reference": "teacher",
            "data": {"dataset": "digits"},
        },
    ),
    ("/v1/models", MODEL),
    ("/v1/datasets", {"name": "d", "folder": "x", "sha256": "0" * 64, "classes": ["a", "b"]}),
    ("/v1/datasets", {"name": "d", "download": "cifar10"}),
    ("/v1/sweeps", {"name": "s", "base": distillation_body(), "axes": {"seed": [0, 1]}}),
    ("/v1/keys", {"name": "k", "scopes": ["read"]}),
]
UNKNOWN_FIELDS = ("url", "source_url", "webhook", "callback_url", "notify", "endpoint", "proxy")


def test_s5_a_url_in_any_field_of_any_body_is_never_called(
    client: TestClient,
    engine: Engine,
    canaries: list[str],
    connections: list[Connection],
    record_property: RecordProperty,
) -> None:
    create_teacher(engine)
    requests = 0
    for route, body in BODIES:
        for url in canaries:
            for path in text_fields(body):
                response = client.post(route, json=replace_field(body, path, url))
                assert response.status_code in (201, 404, 409, 422), response.text
                requests += 1
    record_property("requests", requests)
    assert requests > 300
    assert connections == []


def test_s5_no_body_has_a_field_for_a_url(
    client: TestClient, canaries: list[str], connections: list[Connection]
) -> None:
    for (route, body), name in product(BODIES, UNKNOWN_FIELDS):
        response = client.post(route, json={**body, name: canaries[0]})
        assert response.status_code == 422, response.text
        assert [name] in [error["path"] for error in response.json()["errors"]], response.text
    assert connections == []


def test_s5_downloads_are_off_by_default(client: TestClient, connections: list[Connection]) -> None:
    response = client.post("/v1/datasets", json={"name": "d", "download": "cifar10"})
    assert (response.status_code, response.json()["errors"][0]["path"]) == (422, ["download"])
    assert [row["name"] for row in client.get("/v1/datasets").json()["data"]] == ["digits"]
    assert client.get("/v1/jobs").json()["data"] == []
    assert connections == []


def test_s5_worker_and_trainer_open_no_connection(
    client: TestClient,
    settings: Settings,
    engine: Engine,
    canaries: list[str],
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    """No process calls ``connect`` for an internet address; strace records every call."""
    metadata = {f"url{number}": url for number, url in enumerate(canaries)}
    body = training_body(name=canaries[0], metadata=metadata)
    job_id = client.post("/v1/jobs", json=body).json()["id"]
    trace = tmp_path / "connects"
    strace = ["strace", "--seccomp-bpf", "-f", "-qq", "-e", "trace=connect", "-o", str(trace)]
    command = [*strace, sys.executable, "-m", "worker.polling"]
    variables = {
        "DISTILL_HOME": str(settings.home),
        "DISTILL_DATABASE_URL": settings.resolved_database_url,
    }
    # Service starts Python, which then becomes strace.
    start_strace = ("-c", f"import os; os.execvp('strace', {command!r})")
    with Service(variables, tmp_path / "worker.log", start_strace):
        job = wait_for_end(engine, job_id)
    assert job.status == "succeeded", job.failure
    with read_session(engine) as session:
        assert jobs.get(session, DEFAULT_PROJECT, job_id).spec["metadata"] == metadata
    internet_connections = re.findall(r"sa_family=AF_INET6?.*", trace.read_text())
    record_property("connections", len(internet_connections))
    assert internet_connections == []
