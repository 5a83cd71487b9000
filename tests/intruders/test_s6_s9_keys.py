"""S6: without an API key, only health is served. S9: a key gives no access to other projects."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.jobspec.sweep import SweepSpec
from core.settings import Settings
from core.store import sweeps, workers
from core.store.access import keys, sessions
from core.store.access.sessions import Lifetime
from core.store.database.engine import migrate, read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects.store import Objects
from core.store.registry import datasets, uploaded_items
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
"""The operations that need no key."""
SIGN_IN = {
    ("POST", "/v1/session"),
    ("GET", "/v1/session/methods"),
    ("GET", "/v1/session/oidc"),
    ("GET", "/v1/session/oidc/callback"),
}
"""What a browser needs before it is signed in. The first asks for a key in its body, and the last
two are only there where an OpenID Connect provider is configured."""
DOCUMENTATION = {"/openapi.json", "/docs", "/docs/assets/docs.js"}
"""Paths of the public interface's documentation, open so that a browser can read it.

It is the same in every installation.
"""
UNAUTHENTICATED_REQUESTS: tuple[tuple[str, dict[str, str]], ...] = (
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
)
"""Queries and headers by which other services let callers in, most of them with a valid key."""


def operations(client: TestClient | httpx2.Client) -> Iterator[tuple[str, str]]:
    """Yield method and path of every operation in the OpenAPI document."""
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            yield method.upper(), path


def fill_path(path: str) -> str:
    """Return the path with ``x`` for each parameter."""
    return re.sub(r"{\w+}", "x", path)


# -- S6


def test_s6_every_operation_but_health_needs_a_key(
    client: TestClient, anonymous: TestClient
) -> None:
    refusals = 0
    for method, path in operations(client):
        response = anonymous.request(method, fill_path(path))
        if path in OPEN:
            assert response.status_code == 200
            continue
        if (method, path) in SIGN_IN:
            assert response.status_code == (200 if path.endswith("/methods") else 404) or (
                method == "POST" and response.status_code == 422
            )
            continue
        refusals += 1
        assert response.status_code == 401, (method, path)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        if method != "HEAD":
            assert response.json()["code"] == "unauthenticated"
    assert refusals > 28


def test_s6_only_a_bearer_token_authenticates(
    installation: Installation, raw_client: RawClient
) -> None:
    """An installation with default settings knows no other way to send a key."""
    raw_client.key = None
    for method, path in operations(installation.client):
        if path in OPEN or (method, path) in SIGN_IN:
            continue
        for query, headers in UNAUTHENTICATED_REQUESTS:
            response = raw_client.request(method, fill_path(path) + query, headers)
            assert response.status == 401, (method, path, headers, response)
    for path in (*OPEN, *DOCUMENTATION):
        assert raw_client.request("GET", path).status == 200
    installation.wait_for_audit_entry(code="unauthenticated", key_id=None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_s6_no_public_address_is_served_without_any_key(tmp_path: Path, host: str) -> None:
    database = f"sqlite:///{tmp_path / 'distill.db'}"
    migrate(database)
    port = free_port()
    environment = {
        "DISTILL_HOST": host,
        "DISTILL_PORT": str(port),
        "DISTILL_DATABASE_URL": database,
        "PATH": "/usr/bin:/bin",
    }
    process = subprocess.run(
        [sys.executable, "-m", "api"],
        env=environment,
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 2
    assert "there is no API key yet" in process.stderr
    assert "Traceback" not in process.stderr


def test_s6_no_setting_makes_the_key_optional(settings: Settings, engine: Engine) -> None:
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
    lenient_settings = settings.model_copy(update=lenient)
    with TestClient(create_app(lenient_settings), follow_redirects=False) as client:
        for method, path in operations(client):
            if path not in OPEN and (method, path) not in SIGN_IN:
                response = client.request(
                    method, fill_path(path), headers={"Authorization": "Bearer "}
                )
                assert response.status_code == 401, (method, path)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "dk_everything", "Bearer wrong", "Bearer \xff"]
)
def test_s6_an_invalid_key_is_a_401(anonymous: TestClient, header: str) -> None:
    response = anonymous.get("/v1/jobs", headers=[(b"Authorization", header.encode("latin-1"))])
    assert response.status_code == 401


def test_s6_the_key_is_checked_before_query_and_body(anonymous: TestClient) -> None:
    for body in (b"{", b" " * 2**21):
        response = anonymous.post(
            "/v1/jobs?nonsense=1", content=body, headers={"Content-Type": "text/plain"}
        )
        assert response.status_code == 401


def test_s6_revoked_and_expired_keys_are_a_401(anonymous: TestClient, engine: Engine) -> None:
    with write_session(engine) as session:
        key, revoked = keys.create(session, DEFAULT_PROJECT, "revoked", ["read"])
        _, expired = keys.create(session, DEFAULT_PROJECT, "expired", ["read"], expires_at=1)
        keys.revoke(session, DEFAULT_PROJECT, key.id)
    for secret in (revoked, expired):
        assert anonymous.get("/v1/jobs", headers=bearer(secret)).status_code == 401


def test_s6_each_scope_allows_only_its_own_operations(
    anonymous: TestClient, engine: Engine
) -> None:
    requests: dict[str, Callable[[dict[str, str]], httpx2.Response]] = {
        "read": lambda headers: anonymous.get("/v1/jobs", headers=headers),
        "submit": lambda headers: anonymous.post("/v1/jobs", headers=headers, json=training_body()),
        "admin": lambda headers: anonymous.get("/v1/keys", headers=headers),
        "operator": lambda headers: anonymous.get("/v1/projects", headers=headers),
    }
    assert set(requests) == set(keys.SCOPES)
    for scope in keys.SCOPES:
        headers = make_key(engine, scope)
        for required, request in requests.items():
            response = request(headers)
            assert (response.status_code < 300) == (required == scope), (scope, required)
            if required != scope:
                assert (response.status_code, response.json()["code"]) == (403, "forbidden")
                assert repr(required) in response.json()["detail"]


def test_s6_only_an_operator_can_grant_the_scope_operator(
    anonymous: TestClient, engine: Engine
) -> None:
    admin = make_key(engine, "read", "submit", "admin")
    operator = make_key(engine, "admin", "operator")
    body = {"name": "more", "scopes": ["admin", "operator"]}
    assert_problem(anonymous.post("/v1/keys", headers=admin, json=body), "forbidden")
    assert anonymous.post("/v1/keys", headers=operator, json=body).status_code == 201


# -- S9


STRANGERS_HEADERS = bearer(STRANGERS_KEY)
"""Headers with the key of another project than the default one."""


@pytest.fixture
def parameters(client: TestClient, engine: Engine, settings: Settings) -> dict[str, str]:
    """Values of the parameters in paths: one item of each kind, in the default project."""
    attempt = create_finished_job(engine, Objects.from_settings(settings))
    teacher = create_teacher(engine)
    with transaction(engine, FencedSession) as session:
        dataset = datasets.create(session, DEFAULT_PROJECT, "mine", "folder")
        uploaded_items.mark_ready(
            session, dataset, dataset_description(), object_key="k", size=1, sha256="0" * 64
        )
    with write_session(engine) as session:
        sweep = sweeps.create(session, DEFAULT_PROJECT, SweepSpec(base={}))
        workers.register(session, "worker-1", version="1", protocol=1, slots=1, lease_seconds=30)
    with read_session(engine) as session:
        key = keys.list_keys(session, DEFAULT_PROJECT)[0][0]
    with write_session(engine) as session:
        signed_in, _ = sessions.create(session, key, Lifetime(3600, 3600))
    return {
        "job_id": attempt.job_id,
        "model": teacher.id,
        "dataset": dataset.id,
        "sweep_id": sweep.id,
        "key_id": key.id,
        "session_id": signed_in.id,
        "name": "best.safetensors",
        "model_id": teacher.id,
        "dataset_id": dataset.id,
        "worker": "worker-1",
        "alias": "champion",
        "sha256": "d" * 64,
    }


def address_of(path: str, parameters: dict[str, str]) -> str:
    """Return the path with these values for its parameters."""
    path = path.replace("{reference}", parameters["model" if "/models" in path else "dataset"])
    return re.sub(r"{(\w+)}", lambda match: parameters[match[1]], path)


EMPTY = {"data": [], "has_more": False, "next_cursor": None, "total": None}
NO_JOBS = {**EMPTY, "sections": []}
FOR_OPERATORS = ("/metrics", "/v1/projects", "/v1/workers")
"""Prefixes of paths about the whole installation, which need the scope operator."""
SAME_FOR_ALL = {
    "/v1/architectures",
    "/v1/examples",
    "/v1/methods",
    "/v1/schemas/job",
    "/v1/schemas/report",
    "/v1/schemas/sweep",
    "/v1/service",
}
"""Lists that do not depend on the project."""
NOT_STORED = ("/content", "/images", ".webp")
ABOUT_THE_CALLER = {"/v1/session"}
WITHOUT_ITEMS = {"/v1/job-counts", "/v1/leaderboard", "/v1/storage"}
"""About the project as a whole, and no lists."""
ABOUT_JOBS = {"/v1/compare", "/v1/compare/metrics"}
"""They name the jobs that they are about in their query."""


def assert_found_by_its_project(client: TestClient, method: str, address: str) -> None:
    """Assert that the item exists, so that a 404 for a stranger proves something.

    Only the content of the uploads, and pictures of their images, are missing here.
    """
    if method in {"GET", "HEAD"}:
        response = client.request(method, address, headers={"Accept": "application/json"})
        assert response.status_code != 404 or address.endswith(NOT_STORED), address


def assert_not_found_by_stranger(client: TestClient, method: str, address: str) -> None:
    content = {"PUT": b"x", "PATCH": b'{"notes": "mine"}'}.get(method)
    media_type = {"PATCH": "application/json"}.get(method, "application/octet-stream")
    if "/aliases/" in address:
        content, media_type = b'{"model": "x"}', "application/json"
    for accept in ("*/*", "text/event-stream"):
        headers = {**STRANGERS_HEADERS, "Accept": accept}
        if content is not None:
            headers["Content-Type"] = media_type
        response = client.request(method, address, headers=headers, content=content)
        assert response.status_code == 404, (method, address, response.text)


def test_s9_no_operation_gives_access_to_another_project(
    client: TestClient, parameters: dict[str, str], engine: Engine, record_property: RecordProperty
) -> None:
    jobs = [create_job(engine, metadata={"team": "mine"}).id for _ in range(2)]
    client.post("/v1/keys", json={"name": "noted", "scopes": ["read"]})
    private_texts = [*parameters.values(), "noted", "everything"]
    requested = set()
    # Lists first: later, the stranger's own audit log names what the stranger has asked for.
    for method, path in sorted(operations(client), key=lambda operation: "{" in operation[1]):
        requested.add((method, path))
        if path in OPEN or (method, path) in SIGN_IN:
            continue
        address = address_of(path, parameters)
        if path.startswith(FOR_OPERATORS):
            assert_problem(client.request(method, address, headers=STRANGERS_HEADERS), "forbidden")
        elif "{" in path:
            assert_found_by_its_project(client, method, address)
            assert_not_found_by_stranger(client, method, address)
        elif path in ABOUT_THE_CALLER and method == "GET":
            assert client.get(path, headers=STRANGERS_HEADERS).json()["project"] == "stranger"
        elif method == "GET" and path in ABOUT_JOBS:
            query = f"jobs={','.join(jobs)}" + ("&names=loss" if "metrics" in path else "")
            assert client.get(f"{path}?{query}").status_code == 200
            assert_not_found_by_stranger(client, method, f"{path}?{query}")
        elif method == "GET" and path not in SAME_FOR_ALL:
            assert path in WITHOUT_ITEMS or client.get(path).json()["data"]
            response = client.get(path, headers=STRANGERS_HEADERS)
            leaks = [text for text in private_texts if text in response.text]
            assert leaks == [], (path, response.text)
    assert requested == set(operations(client))
    record_property("operations", len(requested))


def names_of_items(response: httpx2.Response) -> list[str]:
    return [item["name"] for item in response.json()["data"]]


def test_s9_other_projects_lists_are_empty_whatever_the_filter(
    client: TestClient, parameters: dict[str, str], engine: Engine
) -> None:
    create_job(engine, metadata={"team": "mine"})
    cursor = client.get("/v1/jobs?limit=1").json()["next_cursor"]
    for query in (
        "",
        f"?sweep={parameters['sweep_id']}",
        f"?dataset={parameters['dataset']}",
        "?dataset=digits",
        "?student=small_cnn",
        "?metadata[team]=mine",
        f"?after={cursor}",
    ):
        assert client.get(f"/v1/jobs{query}", headers=STRANGERS_HEADERS).json() == NO_JOBS, query
    for path in ("/v1/jobs", "/v1/models", "/v1/sweeps"):
        address = f"{path}?include_total=true"
        assert client.get(address, headers=STRANGERS_HEADERS).json()["total"] == 0
    assert client.get("/v1/job-counts", headers=STRANGERS_HEADERS).json()["total"] == 0
    for path in ("/v1/models", "/v1/sweeps", f"/v1/audit?key={parameters['key_id']}"):
        assert client.get(path, headers=STRANGERS_HEADERS).json() == EMPTY
    assert names_of_items(client.get("/v1/datasets", headers=STRANGERS_HEADERS)) == ["digits"]
    assert names_of_items(client.get("/v1/keys", headers=STRANGERS_HEADERS)) == ["stranger"]


def bodies_with_references(model: str, dataset: str, job: str) -> list[dict[str, Any]]:
    """Return jobs that refer to these items by id, and to the teacher and the data set by name."""
    return [
        *(distillation_body(teacher=reference) for reference in (model, "teacher", job)),
        *(training_body(start_from=reference) for reference in (model, job)),
        *(training_body(data={"dataset": reference}) for reference in (dataset, "mine")),
        *(
            training_body(data={"dataset": "digits", "extra": {"dataset": reference}})
            for reference in (dataset, "mine")
        ),
        {"kind": "evaluation", "model": model, "data": {"dataset": "digits"}},
        {"kind": "evaluation", "model": "x", "reference": model, "data": {"dataset": dataset}},
    ]


def test_s9_references_do_not_reveal_what_another_project_has(
    client: TestClient, parameters: dict[str, str], engine: Engine
) -> None:
    """A reference to another project's item is answered as one to a missing item, word for word."""
    model = parameters["model"]
    dataset = parameters["dataset"]
    job = parameters["job_id"]
    missing = {
        model: f"mdl_{'0' * 26}",
        dataset: f"ds_{'0' * 26}",
        job: f"job_{'0' * 26}",
        "teacher": "nobodys",
        "mine": "none",
    }
    headers = {**STRANGERS_HEADERS, "Content-Type": "application/json"}
    for job_body in bodies_with_references(model, dataset, job):
        for path, body in (
            ("/v1/jobs", job_body),
            ("/v1/jobs?dry_run=true", job_body),
            ("/v1/sweeps", {"base": job_body}),
        ):
            response = client.post(path, json=body, headers=STRANGERS_HEADERS)
            assert_problem(response)
            detail = response.json()["detail"]
            missing_body = json.dumps(body)
            for reference, absent in missing.items():
                missing_body = missing_body.replace(f': "{reference}"', f': "{absent}"')
                detail = detail.replace(f"'{reference}'", f"'{absent}'")
            expected = client.post(path, content=missing_body, headers=headers)
            assert (response.status_code, detail) == (
                expected.status_code,
                expected.json()["detail"],
            )


def test_s9_each_project_has_its_own_idempotency_keys(client: TestClient) -> None:
    headers = {"Idempotency-Key": "the-same"}
    job = client.post("/v1/jobs", json=training_body(), headers=headers).json()
    response = client.post(
        "/v1/jobs", json=training_body(), headers={**headers, **STRANGERS_HEADERS}
    )
    assert (response.status_code, response.json()["id"] == job["id"]) == (201, False)
    assert client.get(f"/v1/jobs/{response.json()['id']}").status_code == 404


def test_s9_the_key_of_a_new_project_sees_only_its_project(
    client: TestClient, engine: Engine
) -> None:
    create_job(engine)
    idempotent = {"Idempotency-Key": "one-project"}
    response = client.post("/v1/projects", json={"name": "vision"}, headers=idempotent)
    assert response.status_code == 201
    project = response.json()
    assert project["key"]["scopes"] == ["read", "submit", "admin"]
    # Repeated with its idempotency key, the response is the same, but no longer shows the secret.
    repeated = client.post("/v1/projects", json={"name": "vision"}, headers=idempotent).json()
    assert (repeated["id"], repeated["key"]["secret"]) == (project["id"], None)
    assert_problem(client.post("/v1/projects", json={"name": "vision"}), "name_taken")
    headers = bearer(project["key"]["secret"])
    assert client.get("/v1/jobs", headers=headers).json()["data"] == []
    job = client.post("/v1/jobs", json=training_body(), headers=headers).json()
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert names_of_items(client.get("/v1/projects")) == ["vision", "stranger", "default"]
    entries = client.get("/v1/audit", headers=headers).json()["data"]
    actions = [(entry["action"], entry["target"]) for entry in entries]
    assert actions == [("POST /v1/jobs", job["id"])]
