"""The unit of work: idempotency keys, audit entries, and wake-ups after the commit."""

from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from core import queue
from core.store import jobs
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, IdempotencyRow
from tests.api.conftest import KEY, Service, bearer, make_key
from tests.builders import distillation_body, training_body


def post(client: Any, key: str, body: Any = None, path: str = "/v1/jobs", **more: Any) -> Any:
    return client.post(path, json=body or training_body(), headers={"Idempotency-Key": key}, **more)


def total(client: Any) -> int:
    return int(client.get("/v1/jobs", params={"include_total": "true"}).json()["total"])


def test_duplicate_request_is_carried_out_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first response is replayed, and workers are woken once."""
    woken: list[str] = []
    monkeypatch.setattr(queue, "wake_workers", lambda settings, job_id: woken.append(job_id))
    first, again = post(client, "k"), post(client, "k")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert total(client) == len(woken) == 1


def test_other_request_under_a_used_key_is_refused(client: TestClient) -> None:
    """Whether its body or its path differs."""
    job_id = post(client, "k").json()["id"]
    for response in (
        post(client, "k", training_body(seed=1)),
        post(client, "k", path=f"/v1/jobs/{job_id}/clone"),
    ):
        assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert total(client) == 1


def test_two_callers_may_use_the_same_key(client: TestClient, engine: Engine) -> None:
    post(client, "k")
    other = client.post(
        "/v1/jobs",
        json=training_body(),
        headers={"Idempotency-Key": "k", **make_key(engine, "submit")},
    )
    assert (other.status_code, total(client)) == (201, 2)


def test_refused_request_may_be_corrected_under_its_key(client: TestClient) -> None:
    assert post(client, "k", distillation_body()).status_code == 422
    assert post(client, "k").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "caf\xe9"])
def test_key_is_1_to_200_visible_characters(client: TestClient, key: str) -> None:
    response = client.post(
        "/v1/jobs", json=training_body(), headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["path"] == ["Idempotency-Key"]


def test_every_post_takes_a_key(client: TestClient) -> None:
    """But for a sign-in: a response that was stored would hold the session's secret."""
    document = client.get("/openapi.json").json()
    posts = [
        operation["post"]
        for path, operation in document["paths"].items()
        if "post" in operation and path != "/v1/session"
    ]
    assert len(posts) >= 6
    for post_ in posts:
        assert "Idempotency-Key" in [parameter["name"] for parameter in post_["parameters"]]


def test_second_cancel_under_a_key_replays_the_first(client: TestClient) -> None:
    job_id = post(client, "a").json()["id"]
    responses = [
        client.post(f"/v1/jobs/{job_id}/cancel", headers={"Idempotency-Key": "b"}) for _ in range(2)
    ]
    assert [response.status_code for response in responses] == [202, 202]


def test_secret_is_not_stored_for_replays(client: TestClient, engine: Engine) -> None:
    body = {"name": "ci", "scopes": ["read"]}
    first, again = post(client, "k", body, "/v1/keys"), post(client, "k", body, "/v1/keys")
    assert first.json()["secret"].startswith("dk_")
    assert again.json() == {**first.json(), "secret": None}
    with read_session(engine) as session:
        assert first.json()["secret"] not in str(
            session.scalars(select(IdempotencyRow.response_body)).all()
        )


def test_request_still_running_under_its_key_is_a_409(client: TestClient, engine: Engine) -> None:
    post(client, "k")
    with write_session(engine) as session:
        session.scalars(select(IdempotencyRow)).one().status = "running"
    response = post(client, "k")
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_in_progress")


def test_key_outlives_a_killed_process(start_service: Any) -> None:
    first: Service = start_service()
    job = post(first.client, "k").json()
    first.process.kill()
    second: Service = start_service()
    again: httpx2.Response = post(second.client, "k")
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (job, "true")


def test_workers_are_woken_after_the_commit(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection sees the queued job by then; resuming a job wakes workers, too."""
    statuses: list[str] = []

    def read_status(settings: Any, job_id: str) -> bool:
        with read_session(engine) as session:
            statuses.append(jobs.get(session, DEFAULT_PROJECT, job_id).status)
        return True

    monkeypatch.setattr(queue, "wake_workers", read_status)
    job_id = client.post("/v1/jobs", json=training_body()).json()["id"]
    client.post(f"/v1/jobs/{job_id}/pause")
    assert statuses == ["queued"]
    client.post(f"/v1/jobs/{job_id}/resume")
    assert statuses == ["queued", "queued"]


def test_deletion_and_its_audit_entry_are_one_transaction(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = client.post("/v1/keys", json={"name": "ci", "scopes": ["read"]}).json()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no entry")

    monkeypatch.setattr("api.http.unit_of_work.audit.record", fail)
    failing = TestClient(client.app, raise_server_exceptions=False, headers=bearer(KEY))
    assert failing.delete(f"/v1/keys/{key['id']}").status_code == 500
    assert client.get("/v1/keys").json()["data"][0]["revoked_at"] is None
