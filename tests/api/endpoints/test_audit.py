from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from api.http import audit_trail
from api.http.audit_trail import RefusalCounter, client_address
from core.errors import JobFailed
from core.settings import Settings
from core.store import jobs
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, AuditRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.api.conftest import make_key
from tests.builders import create_attempt, training_body


def lines(client: TestClient, query: str = "") -> list[dict[str, Any]]:
    return list(client.get(f"/v1/audit{query}").json()["data"])


def test_every_kind_of_change_leaves_one_line(client: TestClient) -> None:
    job = client.post("/v1/jobs", json=training_body(), headers={"X-Request-Id": "mine-1"}).json()
    client.post(f"/v1/jobs/{job['id']}/cancel")
    key = client.post("/v1/keys", json={"name": "ci", "scopes": ["read"]}).json()
    client.delete(f"/v1/keys/{key['id']}")
    model = {"name": "m", "network": {"architecture": "small_cnn"}, "classes": 10, "channels": 1}
    made = client.post("/v1/models", json=model).json()
    client.put("/v1/models/m/content", content=(8).to_bytes(8, "little") + b"{}      ")
    found = [(line["action"], line["target"], line["status"]) for line in reversed(lines(client))]
    assert found == [
        ("POST /v1/jobs", job["id"], 201),
        ("POST /v1/jobs/{job_id}/cancel", job["id"], 202),
        ("POST /v1/keys", key["id"], 201),
        ("DELETE /v1/keys/{key_id}", key["id"], 200),
        ("POST /v1/models", made["id"], 201),
        ("PUT /v1/models/{reference}/content", "m", 202),
    ]
    first = lines(client)[-1]
    assert (first["request_id"], first["address"], first["code"], first["times"]) == (
        "mine-1",
        "testclient",
        None,
        1,
    )
    assert first["key_id"].startswith("key_")


def test_what_changes_nothing_leaves_none(client: TestClient) -> None:
    once = {"Idempotency-Key": "k"}
    client.post("/v1/jobs?dry_run=true", json=training_body())
    client.post("/v1/jobs", json=training_body(), headers=once)
    client.post("/v1/jobs", json=training_body(), headers=once)
    client.get("/v1/jobs")
    assert len(lines(client)) == 1


def test_a_change_and_its_line_are_there_together_or_not_at_all(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no line")

    monkeypatch.setattr("api.http.unit_of_work.audit.record", fail)
    assert (
        TestClient(client.app, raise_server_exceptions=False, headers=client.headers)
        .post("/v1/jobs", json=training_body())
        .status_code
        == 500
    )
    assert client.get("/v1/jobs").json()["data"] == []


def test_of_many_alike_refusals_few_leave_a_line_that_counts_them(
    client: TestClient, anonymous: TestClient
) -> None:
    for _ in range(100):
        anonymous.get("/v1/jobs")
    client.get("/v1/jobs/none")
    found = lines(client)
    assert [line["times"] for line in found if line["code"] == "unauthenticated"] == [
        64,
        32,
        16,
        8,
        4,
        2,
        1,
    ]
    other = next(line for line in found if line["code"] == "not_found")
    assert (other["action"], other["target"], other["status"]) == (
        "GET /v1/jobs/{job_id}",
        "none",
        404,
    )


def test_an_admin_who_is_no_operator_sees_only_lines_of_the_project(
    client: TestClient, anonymous: TestClient, engine: Engine
) -> None:
    anonymous.get("/v1/jobs")
    client.post("/v1/jobs", json=training_body())
    found = anonymous.get("/v1/audit", headers=make_key(engine, "admin")).json()["data"]
    assert [line["action"] for line in found] == ["POST /v1/jobs"]
    assert anonymous.get("/v1/audit", headers=make_key(engine, "read", "submit")).status_code == 403


def test_lines_are_filtered_and_paged(client: TestClient) -> None:
    for _ in range(3):
        client.post("/v1/jobs", json=training_body())
    client.post("/v1/keys", json={"name": "ci", "scopes": ["read"]})
    assert len(lines(client, "?action=POST /v1/jobs")) == 3
    key_id = lines(client)[0]["key_id"]
    assert len(lines(client, f"?key={key_id}")) == 4
    assert lines(client, "?key=key_other") == []
    at = lines(client)[1]["at"]
    assert [line["at"] >= at for line in lines(client, f"?since={at}")].count(True) >= 2
    assert lines(client, "?since=2999-01-01T00:00:00Z") == []
    page = client.get("/v1/audit?limit=3").json()
    rest = client.get(f"/v1/audit?limit=3&after={page['next_cursor']}").json()
    assert len({line["id"] for line in page["data"] + rest["data"]}) == 4
    for wrong in ("yesterday", "0", "2026-01-31", "2026-13-31T00:00:00Z"):
        assert client.get(f"/v1/audit?since={wrong}").status_code == 422


def test_a_target_that_no_log_should_hold_is_made_printable(client: TestClient) -> None:
    client.get("/v1/jobs/%00%0a%1b[31m" + "é" * 300)
    target = lines(client)[0]["target"]
    assert len(target) == 200
    assert target.isascii()
    assert target.isprintable()


def test_an_import_that_a_worker_refused_leaves_a_line(client: TestClient, engine: Engine) -> None:
    model = {
        "name": "m",
        "network": {"architecture": "small_cnn", "width": 4},
        "classes": 10,
        "channels": 1,
    }
    made = client.post("/v1/models", json={**model, "height": 8, "width": 8}).json()
    sent = client.put(
        "/v1/models/m/content", content=(8).to_bytes(8, "little") + b"{}      "
    ).json()
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, sent["import_job_id"])
    attempt = create_attempt(engine, job)
    with attempt.fenced_session() as (session, running):
        apply_retry_policy(
            session, running, JobFailed("unsafe_checkpoint", "user", "m"), RetryPolicy()
        )
    line = lines(client)[0]
    assert (line["action"], line["target"], line["status"]) == ("import_model", made["id"], 422)
    assert (line["code"], line["request_id"], line["key_id"]) == ("unsafe_checkpoint", job.id, None)


def test_refusals_are_counted_for_an_hour_and_all_of_them_together_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    refusals = RefusalCounter(lambda: now[0])
    assert [refusals.count("a", "x") for _ in range(5)] == [1, 2, None, 4, None]
    assert refusals.count("a", "y") == refusals.count("b", "x") == 1
    now[0] = audit_trail.WINDOW_SECONDS + 1
    assert refusals.count("a", "x") == 1
    counted = [refusals.count(f"address {number}", "x") for number in range(5000)]
    assert counted.count(1) == audit_trail.MAX_ENTRIES_AT_ONCE - 1
    monkeypatch.setattr(audit_trail, "MAX_COUNTED_REFUSALS", 10)
    few = RefusalCounter(lambda: now[0])
    for number in range(50):
        few.count(f"address {number}", "x")
    assert len(few._seen) == 10


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8::7", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_of_an_ipv6_address_the_network_is_the_caller(host: str, address: str) -> None:
    class Asked:
        client = type("Client", (), {"host": host})

    assert client_address(Asked()) == address  # type: ignore[arg-type]


def test_on_postgres_it_is_the_same(postgres_url: str, settings: Settings) -> None:
    engine = make_engine(postgres_url)
    with write_session(engine) as session:
        audit_trail.audit.record(
            session, action="GET \0", target="a\0b" * 200, status=404, request_id="r", times=3
        )
    with read_session(engine) as session:
        row = session.scalars(select(AuditRow)).one()
    engine.dispose()
    assert (row.action, len(row.target or ""), row.times) == ("GET ?", 200, 3)
