"""Pause, resume and retry. Cancel is in test_jobs.py."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.errors import JobFailed
from core.store import attempts
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.builders import claim_job, create_attempt, create_job, training_body


def test_queued_job_is_paused_and_resumed(client: TestClient, engine: Engine) -> None:
    """Repeating either is a 200 and changes nothing."""
    job = create_job(engine)
    for action, status in (("pause", "paused"), ("resume", "queued")):
        for code in (202, 200):
            response = client.post(f"/v1/jobs/{job.id}/{action}")
            assert (response.status_code, response.json()["status"]) == (code, status)
    paused = client.post(f"/v1/jobs/{job.id}/pause").json()
    assert (paused["terminal"], paused["pending_reason"], paused["queue_position"]) == (
        False,
        "A user paused it.",
        None,
    )


def test_running_job_is_pausing_until_its_trainer_ends(client: TestClient, engine: Engine) -> None:
    attempt = create_attempt(engine)
    assert client.post(f"/v1/jobs/{attempt.job_id}/pause").json()["status"] == "pausing"
    early = client.post(f"/v1/jobs/{attempt.job_id}/resume")
    assert (early.status_code, early.json()["code"]) == (409, "job_pausing")
    with attempt.fenced_session() as (session, job):
        attempts.release(session, job, "its trainer has ended behind a checkpoint")
    paused = client.get(f"/v1/jobs/{attempt.job_id}").json()
    assert [change["status"] for change in paused["status_history"]] == [
        "queued",
        "running",
        "pausing",
        "paused",
    ]
    assert paused["worker"] is None


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_failed_job_can_only_be_retried(client: TestClient, engine: Engine, action: str) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        apply_retry_policy(
            session,
            job,
            JobFailed("worker_error", "infrastructure", "Its disk broke."),
            RetryPolicy(max_attempts=1),
        )
    refused = client.post(f"/v1/jobs/{attempt.job_id}/{action}")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_failed")
    again = client.post(f"/v1/jobs/{attempt.job_id}/retry")
    assert (again.status_code, again.json()["status"], again.json()["failure"]) == (
        202,
        "queued",
        None,
    )


def test_succeeded_job_is_not_retried(client: TestClient, engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job)
    refused = client.post(f"/v1/jobs/{attempt.job_id}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_succeeded")
    assert "tried again" in refused.json()["detail"]


def test_retried_job_keeps_its_place_in_its_sweep(client: TestClient, engine: Engine) -> None:
    sweep = client.post(
        "/v1/sweeps", json={"base": training_body(), "axes": {"seed": [0, 1]}}
    ).json()
    first = client.get("/v1/jobs", params={"sweep": sweep["id"], "sort": "created_at"}).json()[
        "data"
    ][0]
    attempt = claim_job(engine, first["id"])
    assert attempt is not None
    with attempt.fenced_session() as (session, job):
        apply_retry_policy(
            session, job, JobFailed("non_finite_loss", "user", "It diverged."), RetryPolicy()
        )
    assert client.get(f"/v1/sweeps/{sweep['id']}").json()["jobs"] == {"failed": 1, "queued": 1}
    again = client.post(f"/v1/jobs/{first['id']}/retry").json()
    assert (again["sweep_id"], again["sweep_line"]) == (sweep["id"], first["sweep_line"])
    assert client.get(f"/v1/sweeps/{sweep['id']}").json()["jobs"] == {"queued": 2}
