"""S6: without a key there is nothing but health. S9: with another project's key there is nothing of this one's."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.jobspec.sweep import SweepSpec
from core.settings import Settings
from core.store import datasets, keys, sweeps, uploaded_items, workers
from core.store.database.engine import migrate, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects.store import Objects
from tests.api.builders import create_finished_job
from tests.api.conftest import KEY, STRANGERS_KEY, bearer, make_key
from tests.builders import (
    create_job,
    create_teacher,
    dataset_description,
    distillation_body,
    training_body,
)
from tests.intruders.installation import Installation
from tests.intruders.problems import assert_problem
from tests.intruders.raw_client import RawClient
from tests.measurements import RecordProperty
from tests.servers import free_port

OPEN = {"/healthz", "/readyz"}
UNLISTED = {"/openapi.json", "/docs", "/docs/assets/docs.js"}
"""What they show is the public interface, the same in every installation: open, so that a browser can read it."""


def operations(client: Any) -> Iterator[tuple[str, str]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            yield method.upper(), path


# -- S6


def test_s6_every_operation_but_health_needs_a_key(
    client: TestClient, anonymous: TestClient
) -> None:
    asked = 0
    for method, path in operations(client):
        response = anonymous.request(method, re.sub(r"{\w+}", "x", path))
        if path in OPEN:
            assert response.status_code == 200
            continue
        asked += 1
        assert response.status_code == 401, (method, path)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        if method != "HEAD":
            assert response.json()["code"] == "unauthenticated"
    assert asked > 28


def test_s6_a_default_installation_knows_no_other_way_in(
    installation: Installation, raw_client: RawClient
) -> None:
    raw_client.key = None
    ways: list[tuple[str, dict[str, str]]] = [
        ("", {}),
        ("", {"Cookie": f"key={KEY}; session={KEY}; Authorization=Bearer {KEY}"}),
        (
            "",
            {
                "X-Api-Key": KEY,
                "Api-Key": KEY,
                "X-Authorization": f"Bearer {KEY}",
                "Proxy-Authorization": f"Bearer {KEY}",
            },
        ),
        (
            "",
            {
                "X-Forwarded-For": "127.0.0.1",
                "X-Real-IP": "127.0.0.1",
                "X-Forwarded-User": "admin",
                "Remote-User": "admin",
            },
        ),
        (
            "",
            {
                "X-Original-URL": "/healthz",
                "X-Rewrite-URL": "/healthz",
                "X-HTTP-Method-Override": "GET",
            },
        ),
        ("", {"Authorization": "Basic " + "YWRtaW46YWRtaW4="}),
        (f"?key={KEY}&access_token={KEY}&api_key={KEY}&authorization=Bearer%20{KEY}", {}),
    ]
    for method, path in operations(installation.client):
        if path in OPEN:
            continue
        for query, headers in ways:
            response = raw_client.request(method, re.sub(r"{\w+}", "x", path) + query, headers)
            assert response.status == 401, (method, path, headers, response)
    for path in (*OPEN, *UNLISTED):
        assert raw_client.request("GET", path).status == 200
    installation.wait_for_audit_entry(code="unauthenticated", key_id=None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_s6_a_public_address_is_not_listened_at_before_there_is_a_key(
    tmp_path: Path, host: str
) -> None:
    database = f"sqlite:///{tmp_path / 'distill.db'}"
    migrate(database)
    port = free_port()
    environment = {
        "DISTILL_HOST": host,
        "DISTILL_PORT": str(port),
        "DISTILL_DATABASE_URL": database,
        "PATH": "/usr/bin:/bin",
    }
    refused = subprocess.run(
        [sys.executable, "-m", "api"],
        env=environment,
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert "there is no API key yet" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_s6_no_setting_lets_anybody_in_without_a_key(settings: Settings, engine: Engine) -> None:
    lenient = {
        "host": "0.0.0.0",
        "allowed_hosts": "testserver,*",
        "allowed_origins": "*",
        "trusted_proxies": "*",
        "requests_per_second": 0,
        "failed_logins_per_minute": 0,
        "bootstrap_key": "",
        "allow_downloads": True,
    }
    changed = settings.model_copy(update=lenient)
    with TestClient(create_app(changed), follow_redirects=False) as nobody:
        for method, path in operations(nobody):
            if path not in OPEN:
                response = nobody.request(
                    method, re.sub(r"{\w+}", "x", path), headers={"Authorization": "Bearer "}
                )
                assert response.status_code == 401, (method, path)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "dk_everything", "Bearer wrong", "Bearer \xff"]
)
def test_s6_what_is_no_key_is_a_401(anonymous: TestClient, header: str) -> None:
    response = anonymous.get("/v1/jobs", headers=[(b"Authorization", header.encode("latin-1"))])
    assert response.status_code == 401


def test_s6_a_caller_without_a_key_learns_nothing_of_the_body(anonymous: TestClient) -> None:
    for body in (b"{", b" " * 2**21):
        response = anonymous.post(
            "/v1/jobs?nonsense=1", content=body, headers={"Content-Type": "text/plain"}
        )
        assert response.status_code == 401


def test_s6_a_revoked_or_expired_key_is_worth_nothing(
    anonymous: TestClient, engine: Engine
) -> None:
    with write_session(engine) as session:
        revoked, secret = keys.create(session, DEFAULT_PROJECT, "revoked", ["read"])
        _, expired = keys.create(session, DEFAULT_PROJECT, "expired", ["read"], expires_at=1)
        keys.revoke(session, DEFAULT_PROJECT, revoked.id)
    for worthless in (secret, expired):
        assert anonymous.get("/v1/jobs", headers=bearer(worthless)).status_code == 401


def test_s6_each_scope_opens_its_own_doors(anonymous: TestClient, engine: Engine) -> None:
    doors: dict[str, Any] = {
        "read": lambda headers: anonymous.get("/v1/jobs", headers=headers),
        "submit": lambda headers: anonymous.post("/v1/jobs", headers=headers, json=training_body()),
        "admin": lambda headers: anonymous.get("/v1/keys", headers=headers),
        "operator": lambda headers: anonymous.get("/v1/projects", headers=headers),
    }
    assert set(doors) == set(keys.SCOPES)
    for scope in keys.SCOPES:
        headers = make_key(engine, scope)
        for needed, knock in doors.items():
            response = knock(headers)
            assert (response.status_code < 300) == (needed == scope), (scope, needed)
            if needed != scope:
                assert (response.status_code, response.json()["code"]) == (403, "forbidden")
                assert repr(needed) in response.json()["detail"]


def test_s6_no_key_gives_another_the_scope_operator_without_having_it(
    anonymous: TestClient, engine: Engine
) -> None:
    admin = make_key(engine, "read", "submit", "admin")
    wanted = {"name": "more", "scopes": ["admin", "operator"]}
    assert_problem(anonymous.post("/v1/keys", headers=admin, json=wanted), "forbidden")
    assert (
        anonymous.post(
            "/v1/keys", headers=make_key(engine, "admin", "operator"), json=wanted
        ).status_code
        == 201
    )


# -- S9


@pytest.fixture
def belongings(client: TestClient, engine: Engine, settings: Settings) -> dict[str, str]:
    """One of everything, of the default project; what a path's parameters are filled with."""
    finished = create_finished_job(engine, Objects.from_settings(settings))
    teacher = create_teacher(engine)
    with write_session(engine) as session:
        dataset = datasets.create(session, DEFAULT_PROJECT, "mine", "folder")
        uploaded_items.mark_ready(
            session, dataset, dataset_description(), object_key="k", size=1, sha256="0" * 64
        )
        sweep = sweeps.create(session, DEFAULT_PROJECT, SweepSpec(base={}))
        workers.register(session, "worker-1", version="1", protocol=1, slots=1, lease_seconds=30)
    with read_session(engine) as session:
        key_id = keys.list_keys(session, DEFAULT_PROJECT)[0][0].id
    return {
        "job_id": finished.job_id,
        "model": teacher.id,
        "dataset": dataset.id,
        "sweep_id": sweep.id,
        "key_id": key_id,
        "name": "best.safetensors",
        "model_id": teacher.id,
        "dataset_id": dataset.id,
        "worker": "worker-1",
    }


def filled(path: str, belongings: dict[str, str]) -> str:
    path = path.replace("{reference}", belongings["model" if "/models" in path else "dataset"])
    return re.sub(r"{(\w+)}", lambda match: belongings[match[1]], path)


EMPTY = {"data": [], "has_more": False, "next_cursor": None, "total": None}
FOR_OPERATORS = ("/metrics", "/v1/projects", "/v1/workers")
"""These are about the whole installation: another project's key is told so, whatever it asks for."""
THE_SAME_FOR_ALL = {"/v1/architectures", "/v1/methods", "/v1/schemas/report"}


def test_s9_another_projects_key_gets_nothing_of_this_one_in_any_operation(
    client: TestClient, belongings: dict[str, str], engine: Engine, record_property: RecordProperty
) -> None:
    create_job(engine, metadata={"team": "mine"})
    client.post("/v1/keys", json={"name": "noted", "scopes": ["read"]})
    mine = [*belongings.values(), "noted", "everything"]
    stranger = bearer(STRANGERS_KEY)
    tried = set()
    # Lists first: the stranger's own audit log will name what the stranger asks for.
    for method, path in sorted(operations(client), key=lambda it: "{" in it[1]):
        tried.add((method, path))
        if path in OPEN:
            continue
        address = filled(path, belongings)
        if path.startswith(FOR_OPERATORS):
            assert_problem(client.request(method, address, headers=stranger), "forbidden")
        elif "{" in path:
            seen = (
                client.request(method, address, headers={"Accept": "application/json"})
                if method in {"GET", "HEAD"}
                else None
            )
            assert seen is None or seen.status_code != 404 or address.endswith("/content"), address
            for accept in ("*/*", "text/event-stream"):
                headers = {**stranger, "Accept": accept}
                response = client.request(
                    method, address, headers=headers, content=b"x" if method == "PUT" else None
                )
                assert response.status_code == 404, (method, address, response.text)
        elif method == "GET" and path not in THE_SAME_FOR_ALL:
            assert client.get(path).json()["data"]
            response = client.get(path, headers=stranger)
            assert not [text for text in mine if text in response.text], (path, response.text)
    assert tried == set(operations(client))
    record_property("operations", len(tried))


def test_s9_another_projects_key_sees_empty_lists_also_with_filters_and_cursors(
    client: TestClient, belongings: dict[str, str], engine: Engine
) -> None:
    create_job(engine, metadata={"team": "mine"})
    stranger = bearer(STRANGERS_KEY)
    cursor = client.get("/v1/jobs?limit=1").json()["next_cursor"]
    for query in (
        "",
        f"?sweep={belongings['sweep_id']}",
        f"?dataset={belongings['dataset']}",
        "?dataset=digits",
        "?student=small_cnn",
        "?metadata[team]=mine",
        f"?after={cursor}",
    ):
        assert client.get(f"/v1/jobs{query}", headers=stranger).json() == EMPTY, query
    assert client.get("/v1/jobs?include_total=true", headers=stranger).json()["total"] == 0
    for path in ("/v1/models", "/v1/sweeps", f"/v1/audit?key={belongings['key_id']}"):
        assert client.get(path, headers=stranger).json() == EMPTY
    assert [row["name"] for row in client.get("/v1/datasets", headers=stranger).json()["data"]] == [
        "digits"
    ]
    assert [row["name"] for row in client.get("/v1/keys", headers=stranger).json()["data"]] == [
        "stranger"
    ]


def test_s9_what_another_project_has_cannot_be_told_from_what_is_not_there(
    client: TestClient, belongings: dict[str, str], engine: Engine
) -> None:
    """References in bodies: the response is the same, word for word, for a thing of this project and for none."""
    model, data, job = belongings["model"], belongings["dataset"], belongings["job_id"]
    nothing = {
        model: f"mdl_{'0' * 26}",
        data: f"ds_{'0' * 26}",
        job: f"job_{'0' * 26}",
        "teacher": "nobodys",
        "mine": "none",
    }
    bodies = [distillation_body(teacher=reference) for reference in (model, "teacher", job)]
    bodies += [training_body(start_from=reference) for reference in (model, job)]
    bodies += [training_body(data={"dataset": reference}) for reference in (data, "mine")]
    bodies += [
        training_body(data={"dataset": "digits", "extra": {"dataset": reference}})
        for reference in (data, "mine")
    ]
    bodies += [
        {"kind": "evaluation", "model": model, "data": {"dataset": "digits"}},
        {"kind": "evaluation", "model": "x", "reference": model, "data": {"dataset": data}},
    ]
    for body in bodies:
        for path, wrapped in (
            ("/v1/jobs", body),
            ("/v1/jobs?dry_run=true", body),
            ("/v1/sweeps", {"base": body}),
        ):
            theirs = client.post(path, json=wrapped, headers=bearer(STRANGERS_KEY))
            text = json.dumps(wrapped)
            for thing, none in nothing.items():
                text = text.replace(f': "{thing}"', f': "{none}"')
            absent = client.post(
                path,
                content=text,
                headers={**bearer(STRANGERS_KEY), "Content-Type": "application/json"},
            )
            assert_problem(theirs)
            said = theirs.json()["detail"]
            for thing, none in nothing.items():
                said = said.replace(f"'{thing}'", f"'{none}'")
            assert (theirs.status_code, said) == (absent.status_code, absent.json()["detail"])


def test_s9_an_idempotency_key_replays_nothing_to_another_project(client: TestClient) -> None:
    once = {"Idempotency-Key": "the-same"}
    mine = client.post("/v1/jobs", json=training_body(), headers=once).json()
    theirs = client.post(
        "/v1/jobs", json=training_body(), headers={**once, **bearer(STRANGERS_KEY)}
    )
    assert (theirs.status_code, theirs.json()["id"] == mine["id"]) == (201, False)
    assert client.get(f"/v1/jobs/{theirs.json()['id']}").status_code == 404


def test_s9_a_new_project_has_a_key_of_its_own_that_sees_nothing_else(
    client: TestClient, engine: Engine
) -> None:
    create_job(engine)
    once = {"Idempotency-Key": "one-project"}
    made = client.post("/v1/projects", json={"name": "vision"}, headers=once)
    assert made.status_code == 201
    key = made.json()["key"]
    assert key["scopes"] == ["read", "submit", "admin"]
    again = client.post("/v1/projects", json={"name": "vision"}, headers=once)
    assert (again.json()["id"], again.json()["key"]["secret"]) == (made.json()["id"], None)
    assert_problem(client.post("/v1/projects", json={"name": "vision"}), "name_taken")
    theirs = bearer(key["secret"])
    assert client.get("/v1/jobs", headers=theirs).json()["data"] == []
    job = client.post("/v1/jobs", json=training_body(), headers=theirs).json()
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert [row["name"] for row in client.get("/v1/projects").json()["data"]] == [
        "vision",
        "stranger",
        "default",
    ]
    lines = client.get("/v1/audit", headers=theirs).json()["data"]
    assert [(line["action"], line["target"]) for line in lines] == [("POST /v1/jobs", job["id"])]
