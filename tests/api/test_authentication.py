import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.settings import Settings
from core.spec.sweep import Sweep
from core.store import datasets, keys, sweeps, workers
from core.store.engine import reading, writing
from core.store.objects import Objects
from core.store.tables import DEFAULT_PROJECT
from tests.api.builders import a_finished_job
from tests.api.conftest import STRANGERS_KEY, bearer, make_key
from tests.builders import a_job, a_teacher, dataset_description, training_body

OPEN = {"/healthz", "/readyz"}


def operations(client: TestClient) -> Iterator[tuple[str, str]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            yield method.upper(), path


def test_every_operation_but_health_needs_a_key(client: TestClient, anonymous: TestClient) -> None:
    asked = 0
    for method, path in operations(client):
        answer = anonymous.request(method, re.sub(r"{\w+}", "x", path))
        if path in OPEN:
            assert answer.status_code == 200
            continue
        asked += 1
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        if method != "HEAD":
            assert answer.json()["code"] == "unauthenticated"
    assert asked > 25


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "dk_everything", "Bearer wrong", "Bearer \xff"])
def test_what_is_no_key_is_a_401(anonymous: TestClient, header: str) -> None:
    answer = anonymous.get("/v1/jobs", headers=[(b"Authorization", header.encode("latin-1"))])
    assert answer.status_code == 401


def test_a_caller_without_a_key_learns_nothing_of_the_body(anonymous: TestClient) -> None:
    for body in (b"{", b" " * 2**21):
        answer = anonymous.post("/v1/jobs?nonsense=1", content=body, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 401


def test_a_revoked_or_expired_key_is_worth_nothing(anonymous: TestClient, engine: Engine) -> None:
    with writing(engine) as session:
        revoked, secret = keys.create(session, DEFAULT_PROJECT, "revoked", ["read"])
        _, expired = keys.create(session, DEFAULT_PROJECT, "expired", ["read"], expires_at=1)
        keys.revoke(session, DEFAULT_PROJECT, revoked.id)
    for worthless in (secret, expired):
        assert anonymous.get("/v1/jobs", headers=bearer(worthless)).status_code == 401


def test_each_scope_opens_its_own_doors(anonymous: TestClient, engine: Engine) -> None:
    doors: dict[str, Any] = {
        "read": lambda headers: anonymous.get("/v1/jobs", headers=headers),
        "submit": lambda headers: anonymous.post("/v1/jobs", headers=headers, json=training_body()),
        "admin": lambda headers: anonymous.get("/v1/keys", headers=headers),
    }
    for scope in keys.SCOPES:
        headers = make_key(engine, scope)
        for needed, knock in doors.items():
            answer = knock(headers)
            assert (answer.status_code < 300) == (needed == scope), (scope, needed)
            if needed != scope:
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
                assert repr(needed) in answer.json()["detail"]


@pytest.fixture
def belongings(client: TestClient, engine: Engine, settings: Settings) -> dict[str, str]:
    """One of everything, of the default project; what a path's parameters are filled with."""
    finished = a_finished_job(engine, Objects.from_settings(settings))
    teacher = a_teacher(engine)
    with writing(engine) as session:
        dataset = datasets.create(session, DEFAULT_PROJECT, "mine", "folder")
        datasets.mark_ready(session, dataset, dataset_description(), object_key="k", size=1, sha256="0" * 64)
        sweep = sweeps.create(session, DEFAULT_PROJECT, Sweep(base={}))
        workers.register(session, "worker-1", version="1", protocol=1, slots=1, lease_seconds=30)
    with reading(engine) as session:
        key_id = keys.list_keys(session, DEFAULT_PROJECT)[0][0].id
    return {
        "job_id": finished.job_id,
        "model": teacher.id,
        "model_id": teacher.id,
        "dataset": dataset.id,
        "dataset_id": dataset.id,
        "sweep_id": sweep.id,
        "key_id": key_id,
        "name": "best.safetensors",
        "worker": "worker-1",
    }


def test_another_projects_key_finds_nothing_in_any_operation(
    client: TestClient, belongings: dict[str, str], engine: Engine
) -> None:
    stranger = bearer(STRANGERS_KEY)
    tried = 0
    for method, path in operations(client):
        if "{" not in path:
            continue
        filled = path.replace("{reference}", belongings["model" if "/models" in path else "dataset"])
        filled = re.sub(r"{(\w+)}", lambda match: belongings[match[1]], filled)
        mine = client.request(method, filled, headers={"Accept": "application/json"}) if method in {"GET", "HEAD"} else None
        assert mine is None or mine.status_code != 404 or filled.endswith("/content"), filled
        answer = client.request(method, filled, headers=stranger, content=b"x" if method == "PUT" else None)
        assert answer.status_code == 404, (method, filled, answer.text)
        tried += 1
    assert tried >= 27


def test_another_projects_key_sees_empty_lists(client: TestClient, belongings: dict[str, str], engine: Engine) -> None:
    a_job(engine)
    stranger = bearer(STRANGERS_KEY)
    for path in ("/v1/jobs", "/v1/models", "/v1/sweeps"):
        assert client.get(path).json()["data"]
        assert client.get(path, headers=stranger).json()["data"] == []
    assert [row["name"] for row in client.get("/v1/datasets", headers=stranger).json()["data"]] == ["digits"]
    assert [row["name"] for row in client.get("/v1/keys", headers=stranger).json()["data"]] == ["stranger"]
