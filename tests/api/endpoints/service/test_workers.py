"""Workers: who may list and drain them, and why a job waits for one."""

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.jobspec.status import PROTOCOL
from core.store import jobs, workers
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT
from tests.api.conftest import STRANGERS_KEY, bearer, make_key
from tests.builders import create_attempt, create_job


def register(engine: Engine, name: str, protocol: int = PROTOCOL) -> None:
    with write_session(engine) as session:
        workers.register(
            session, name, version="0.1.0", protocol=protocol, slots=2, lease_seconds=300
        )


def test_workers_are_listed_by_name_and_drained(client: TestClient, engine: Engine) -> None:
    register(engine, "gpu-2")
    register(engine, "gpu-1")
    create_attempt(engine, worker="gpu-1")
    first = client.get("/v1/workers", params={"limit": 1}).json()
    (worker,) = first["data"]
    assert (
        worker["name"],
        worker["running"],
        worker["slots"],
        worker["alive"],
        worker["draining"],
    ) == (
        "gpu-1",
        1,
        2,
        True,
        False,
    )
    assert worker["protocol"] == PROTOCOL
    assert worker["seen_at"].endswith("Z")
    rest = client.get("/v1/workers", params={"after": first["next_cursor"]}).json()
    assert [row["name"] for row in rest["data"]] == ["gpu-2"]
    for order, draining in (("drain", True), ("drain", True), ("undrain", False)):
        response = client.post(f"/v1/workers/gpu-1/{order}")
        assert (response.status_code, response.json()["draining"]) == (202, draining)
    assert client.post("/v1/workers/gpu-3/drain").status_code == 404


def test_workers_are_for_operators_only(anonymous: TestClient, engine: Engine) -> None:
    register(engine, "gpu-1")
    for key, status in (
        (bearer(STRANGERS_KEY), 403),
        (make_key(engine, "read", "submit", "admin"), 403),
        (make_key(engine, "operator"), 200),
    ):
        assert anonymous.get("/v1/workers", headers=key).status_code == status
        assert anonymous.post("/v1/workers/gpu-1/drain", headers=key).status_code in {
            status,
            status + 2,
        }


def test_waiting_job_says_that_no_worker_can_claim_it(client: TestClient, engine: Engine) -> None:
    """Its ETag changes with that reason."""
    job = create_job(engine)
    with write_session(engine) as session:
        jobs.get(session, DEFAULT_PROJECT, job.id).protocol = PROTOCOL + 1
    waiting = client.get(f"/v1/jobs/{job.id}")
    assert waiting.json()["pending_reason"] == "No worker is alive."
    register(engine, "gpu-1")
    changed = client.get(f"/v1/jobs/{job.id}", headers={"If-None-Match": waiting.headers["ETag"]})
    sentence = (
        f"It waits for a worker of protocol {PROTOCOL + 1}; those that are alive have {PROTOCOL}."
    )
    assert (changed.status_code, changed.json()["pending_reason"]) == (200, sentence)
    register(engine, "gpu-2", PROTOCOL + 1)
    claimable = client.get(f"/v1/jobs/{job.id}")
    assert claimable.json()["pending_reason"] is None
    assert (
        client.get(
            f"/v1/jobs/{job.id}", headers={"If-None-Match": claimable.headers["ETag"]}
        ).status_code
        == 304
    )
