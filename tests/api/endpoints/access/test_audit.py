"""The audit log: one entry per change, few for many equal refusals."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from api.http import audit_entries
from api.http.audit_entries import RefusalCounter, client_address
from core.errors import JobFailed
from core.settings import Settings
from core.store import jobs
from core.store.access import audit
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, AuditRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.api.conftest import KEY, bearer, make_key
from tests.builders import create_attempt, training_body


def entries(client: TestClient, query: str = "") -> list[dict[str, Any]]:
    return list(client.get(f"/v1/audit{query}").json()["data"])


def test_every_kind_of_change_has_one_entry(client: TestClient) -> None:
    job = client.post("/v1/jobs", json=training_body(), headers={"X-Request-Id": "mine-1"}).json()
    client.post(f"/v1/jobs/{job['id']}/cancel")
    key = client.post("/v1/keys", json={"name": "ci", "scopes": ["read"]}).json()
    client.delete(f"/v1/keys/{key['id']}")
    body = {"name": "m", "network": {"architecture": "small_cnn"}, "classes": 10, "channels": 1}
    model = client.post("/v1/models", json=body).json()
    client.put("/v1/models/m/content", content=(8).to_bytes(8, "little") + b"{}      ")
    facts = [
        (entry["action"], entry["target"], entry["status"]) for entry in reversed(entries(client))
    ]
    assert facts == [
        ("POST /v1/jobs", job["id"], 201),
        ("POST /v1/jobs/{job_id}/cancel", job["id"], 202),
        ("POST /v1/keys", key["id"], 201),
        ("DELETE /v1/keys/{key_id}", key["id"], 200),
        ("POST /v1/models", model["id"], 201),
        ("PUT /v1/models/{reference}/content", "m", 202),
    ]
    first = entries(client)[-1]
    assert (first["request_id"], first["address"], first["code"], first["times"]) == (
        "mine-1",
        "testclient",
        None,
        1,
    )
    assert first["key_id"].startswith("key_")


def test_dry_runs_replays_and_reads_have_no_entry(client: TestClient) -> None:
    once = {"Idempotency-Key": "k"}
    client.post("/v1/jobs?dry_run=true", json=training_body())
    assert client.post("/v1/jobs?dry_run=true", json={}).status_code == 422
    client.post("/v1/jobs", json=training_body(), headers=once)
    client.post("/v1/jobs", json=training_body(), headers=once)
    client.get("/v1/jobs")
    assert len(entries(client)) == 1


def test_dry_run_hides_no_other_refusal(client: TestClient) -> None:
    assert client.post("/v1/keys?dry_run=true", json={}).status_code == 422
    assert client.get("/v1/jobs?dry_run=true").status_code == 422
    actions = {entry["action"] for entry in entries(client)}
    assert actions == {"POST /v1/keys", "GET /v1/jobs"}


def test_change_and_entry_are_committed_together(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the entry cannot be written, the change is not made either."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no entry")

    monkeypatch.setattr("api.http.unit_of_work.audit.record", fail)
    failing = TestClient(client.app, raise_server_exceptions=False, headers=bearer(KEY))
    assert failing.post("/v1/jobs", json=training_body()).status_code == 500
    assert client.get("/v1/jobs").json()["data"] == []


def test_equal_refusals_have_few_entries_with_counts(
    client: TestClient, anonymous: TestClient
) -> None:
    """Of many equal refusals the 1st, 2nd, 4th, 8th … have an entry, which counts them."""
    for _ in range(100):
        anonymous.get("/v1/jobs")
    client.get("/v1/jobs/none")
    listed = entries(client)
    assert [entry["times"] for entry in listed if entry["code"] == "unauthenticated"] == [
        64,
        32,
        16,
        8,
        4,
        2,
        1,
    ]
    other = next(entry for entry in listed if entry["code"] == "not_found")
    assert (other["action"], other["target"], other["status"]) == (
        "GET /v1/jobs/{job_id}",
        "none",
        404,
    )


def test_admin_sees_only_entries_of_the_project(
    client: TestClient, anonymous: TestClient, engine: Engine
) -> None:
    """An admin who is not an operator sees no entries without a project."""
    anonymous.get("/v1/jobs")
    client.post("/v1/jobs", json=training_body())
    listed = anonymous.get("/v1/audit", headers=make_key(engine, "admin")).json()["data"]
    assert [entry["action"] for entry in listed] == ["POST /v1/jobs"]
    assert anonymous.get("/v1/audit", headers=make_key(engine, "read", "submit")).status_code == 403


def test_entries_are_filtered_and_paged(client: TestClient) -> None:
    for _ in range(3):
        client.post("/v1/jobs", json=training_body())
    client.post("/v1/keys", json={"name": "ci", "scopes": ["read"]})
    assert len(entries(client, "?action=POST /v1/jobs")) == 3
    key_id = entries(client)[0]["key_id"]
    assert len(entries(client, f"?key={key_id}")) == 4
    assert entries(client, "?key=key_other") == []
    at = entries(client)[1]["at"]
    assert [entry["at"] >= at for entry in entries(client, f"?since={at}")].count(True) >= 2
    assert entries(client, "?since=2999-01-01T00:00:00Z") == []
    page = client.get("/v1/audit?limit=3").json()
    rest = client.get(f"/v1/audit?limit=3&after={page['next_cursor']}").json()
    assert len({entry["id"] for entry in page["data"] + rest["data"]}) == 4
    for wrong in ("yesterday", "0", "2026-01-31", "2026-13-31T00:00:00Z"):
        assert client.get(f"/v1/audit?since={wrong}").status_code == 422


def test_target_is_made_printable(client: TestClient) -> None:
    client.get("/v1/jobs/%00%0a%1b[31m" + "é" * 300)
    target = entries(client)[0]["target"]
    assert len(target) == 200
    assert target.isascii()
    assert target.isprintable()


def test_import_refused_by_a_worker_has_an_entry(client: TestClient, engine: Engine) -> None:
    body = {
        "name": "m",
        "network": {"architecture": "small_cnn", "width": 4},
        "classes": 10,
        "channels": 1,
    }
    model = client.post("/v1/models", json={**body, "height": 8, "width": 8}).json()
    importing = client.put(
        "/v1/models/m/content", content=(8).to_bytes(8, "little") + b"{}      "
    ).json()
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, importing["import_job_id"])
    attempt = create_attempt(engine, job)
    with attempt.fenced_session() as (session, running):
        apply_retry_policy(
            session, running, JobFailed("unsafe_checkpoint", "user", "m"), RetryPolicy()
        )
    entry = entries(client)[0]
    assert (entry["action"], entry["target"], entry["status"]) == ("import_model", model["id"], 422)
    assert (entry["code"], entry["request_id"], entry["key_id"]) == (
        "unsafe_checkpoint",
        job.id,
        None,
    )


def test_refusals_are_counted_per_hour_and_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counts start anew after an hour, and entries of all callers together have a rate limit."""
    now = [0.0]
    refusals = RefusalCounter(lambda: now[0])
    assert [refusals.count("a", "x") for _ in range(5)] == [1, 2, None, 4, None]
    assert refusals.count("a", "y") == refusals.count("b", "x") == 1
    now[0] = audit_entries.WINDOW_SECONDS + 1
    assert refusals.count("a", "x") == 1
    counted = [refusals.count(f"address {number}", "x") for number in range(5000)]
    assert counted.count(1) == audit_entries.MAX_ENTRIES_AT_ONCE - 1
    monkeypatch.setattr(audit_entries, "MAX_COUNTED_REFUSALS", 10)
    few = RefusalCounter(lambda: now[0])
    for number in range(50):
        few.count(f"address {number}", "x")
    assert len(few._counts) == 10


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
def test_ipv6_caller_is_its_network(host: str, address: str) -> None:
    class RequestStub:
        client = type("Client", (), {"host": host})

    assert client_address(RequestStub()) == address  # type: ignore[arg-type]


def test_audit_on_postgres_is_the_same(postgres_url: str, settings: Settings) -> None:
    engine = make_engine(postgres_url)
    with write_session(engine) as session:
        audit.record(
            session, action="GET \0", target="a\0b" * 200, status=404, request_id="r", times=3
        )
    with read_session(engine) as session:
        row = session.scalars(select(AuditRow)).one()
    engine.dispose()
    assert (row.action, len(row.target or ""), row.times) == ("GET ?", 200, 3)
