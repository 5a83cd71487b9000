"""S5: nothing that a caller says makes the service connect to anywhere. It fetches no URLs, and knows no webhooks.

``download`` takes the names of two data sets, never an address, and is off unless the operator allows it.
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

Place = tuple[str | int, ...]
_asked: list[tuple[Any, ...]] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        _asked.append((event, *arguments[1:]))


sys.addaudithook(_listen)


@pytest.fixture
def connections() -> list[tuple[Any, ...]]:
    """Every connection that this process makes, and every name that it looks up."""
    socket.getaddrinfo("127.0.0.1", 1)
    assert _asked, "nothing is noticed"
    _asked.clear()
    return _asked


@pytest.fixture
def canaries() -> Iterator[list[str]]:
    """URLs of two listeners, which nobody may call, by other names of this machine too; and of others that must not be called."""
    with ExitStack() as stack:
        four = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        six = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        port, port6 = four.getsockname()[1], six.getsockname()[1]
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
        for listener in (four, six):
            listener.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listener.accept()


def texts(body: Any, path: Place = ()) -> Iterator[Place]:
    """Paths of all texts in a body."""
    if isinstance(body, dict | list):
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield from texts(value, (*path, key))
    elif isinstance(body, str):
        yield path


def replaced(body: Any, path: Place, text: str) -> Any:
    found = deepcopy(body)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = text
    return found


MODEL = {
    "name": "m",
    "network": {"architecture": "small_cnn", "width": 4},
    "classes": 10,
    "sha256": "0" * 64,
}
SAID = {"name": "x", "metadata": {"x": "x"}}
BODIES: list[tuple[str, dict[str, Any]]] = [
    (
        "/v1/jobs",
        training_body(**SAID, start_from="teacher", preset="reference", method={"name": "trades"}),
    ),
    (
        "/v1/jobs",
        distillation_body(
            **SAID, data={"dataset": "digits", "held_out": 0.1, "extra": {"dataset": "digits"}}
        ),
    ),
    (
        "/v1/jobs",
        {
            "kind": "evaluation",
            **SAID,
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
UNKNOWN = ("url", "source_url", "webhook", "callback_url", "notify", "endpoint", "proxy")


def test_s5_an_address_in_any_field_of_any_body_is_never_called(
    client: TestClient,
    engine: Engine,
    canaries: list[str],
    connections: list[Any],
    record_property: RecordProperty,
) -> None:
    create_teacher(engine)
    asked = 0
    for route, body in BODIES:
        for url in canaries:
            for path in texts(body):
                response = client.post(route, json=replaced(body, path, url))
                assert response.status_code in (201, 404, 409, 422), response.text
                asked += 1
    record_property("requests", asked)
    assert asked > 300
    assert connections == []


def test_s5_there_is_no_field_for_an_address(
    client: TestClient, canaries: list[str], connections: list[Any]
) -> None:
    for (route, body), name in product(BODIES, UNKNOWN):
        response = client.post(route, json={**body, name: canaries[0]})
        assert (
            response.status_code,
            [name] in [error["path"] for error in response.json()["errors"]],
        ) == (422, True), response.text
    assert connections == []


def test_s5_downloads_are_off_unless_the_operator_allows_them(
    client: TestClient, connections: list[Any]
) -> None:
    response = client.post("/v1/datasets", json={"name": "d", "download": "cifar10"})
    assert (response.status_code, response.json()["errors"][0]["path"]) == (422, ["download"])
    assert [row["name"] for row in client.get("/v1/datasets").json()["data"]] == ["digits"]
    assert client.get("/v1/jobs").json()["data"] == []
    assert connections == []


def test_s5_worker_and_trainer_connect_to_nothing_whatever_a_job_says(
    client: TestClient,
    settings: Settings,
    engine: Engine,
    canaries: list[str],
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    """Every connect of theirs, as the kernel saw it."""
    said = {"name": canaries[0], "metadata": {f"url{at}": url for at, url in enumerate(canaries)}}
    job_id = client.post("/v1/jobs", json=training_body(**said)).json()["id"]
    traced = tmp_path / "connects"
    strace = ["strace", "--seccomp-bpf", "-f", "-qq", "-e", "trace=connect", "-o", str(traced)]
    command = [*strace, sys.executable, "-m", "worker.polling"]
    home = {
        "DISTILL_HOME": str(settings.home),
        "DISTILL_DATABASE_URL": settings.resolved_database_url,
    }
    with Service(
        home, tmp_path / "worker.log", ("-c", f"import os; os.execvp('strace', {command!r})")
    ):
        job = wait_for_end(engine, job_id)
    assert job.status == "succeeded", job.failure
    with read_session(engine) as session:
        assert jobs.get(session, DEFAULT_PROJECT, job_id).spec["metadata"] == said["metadata"]
    called = re.findall(r"sa_family=AF_INET6?.*", traced.read_text())
    record_property("connections", len(called))
    assert called == []
