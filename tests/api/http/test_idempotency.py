from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from core import queue
from core.store.database.engine import read_session, write_session
from core.store.database.tables import IdempotencyRow
from tests.api.conftest import Service, make_key
from tests.builders import distillation_body, training_body


def post(client: Any, key: str, body: Any = None, path: str = "/v1/jobs", **more: Any) -> Any:
    return client.post(path, json=body or training_body(), headers={"Idempotency-Key": key}, **more)


def total(client: Any) -> int:
    return int(client.get("/v1/jobs", params={"include_total": "true"}).json()["total"])


def test_the_same_request_under_the_same_key_is_answered_again_and_carried_out_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[str] = []
    monkeypatch.setattr(queue, "wake_workers", lambda settings, job_id: hints.append(job_id))
    first, again = post(client, "k"), post(client, "k")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert total(client) == len(hints) == 1


def test_another_body_path_or_query_under_the_same_key_is_refused(client: TestClient) -> None:
    job_id = post(client, "k").json()["id"]
    for answer in (
        post(client, "k", training_body(seed=1)),
        post(client, "k", path=f"/v1/jobs/{job_id}/clone"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert total(client) == 1


def test_two_callers_may_use_the_same_key(client: TestClient, engine: Engine) -> None:
    post(client, "k")
    other = client.post(
        "/v1/jobs",
        json=training_body(),
        headers={"Idempotency-Key": "k", **make_key(engine, "submit")},
    )
    assert (other.status_code, total(client)) == (201, 2)


def test_a_request_that_was_refused_may_be_corrected_under_its_key(client: TestClient) -> None:
    assert post(client, "k", distillation_body()).status_code == 422
    assert post(client, "k").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "caf\xe9"])
def test_a_key_is_1_to_200_visible_characters(client: TestClient, key: str) -> None:
    answer = client.post(
        "/v1/jobs", json=training_body(), headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == ["Idempotency-Key"]


def test_every_post_takes_a_key(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    posts = [operation["post"] for operation in document["paths"].values() if "post" in operation]
    assert len(posts) >= 6
    for post_ in posts:
        assert "Idempotency-Key" in [parameter["name"] for parameter in post_["parameters"]]


def test_a_second_cancel_under_the_same_key_is_the_first_ones_answer(client: TestClient) -> None:
    job_id = post(client, "a").json()["id"]
    answers = [
        client.post(f"/v1/jobs/{job_id}/cancel", headers={"Idempotency-Key": "b"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]


def test_a_secret_is_not_stored_for_a_replay(client: TestClient, engine: Engine) -> None:
    body = {"name": "ci", "scopes": ["read"]}
    first, again = post(client, "k", body, "/v1/keys"), post(client, "k", body, "/v1/keys")
    assert first.json()["secret"].startswith("dk_")
    assert again.json() == {**first.json(), "secret": None}
    with read_session(engine) as session:
        assert first.json()["secret"] not in str(
            session.scalars(select(IdempotencyRow.response_body)).all()
        )


def test_a_request_that_is_still_running_is_a_conflict(client: TestClient, engine: Engine) -> None:
    post(client, "k")
    with write_session(engine) as session:
        session.scalars(select(IdempotencyRow)).one().status = "running"
    answer = post(client, "k")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")


def test_a_key_outlives_a_killed_process(start_service: Any) -> None:
    first: Service = start_service()
    made = post(first.client, "k").json()
    first.process.kill()
    second: Service = start_service()
    again: httpx2.Response = post(second.client, "k")
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (made, "true")
