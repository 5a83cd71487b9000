"""Jobs: get, list, filter, cancel."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.errors import JobFailed
from core.jobspec.failure_advice import advice_for
from core.store import attempts, events
from core.store.database.engine import write_session
from core.store.database.tables import JobRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.api.conftest import STRANGER
from tests.builders import create_attempt, create_job, set_progress


def ids(client: TestClient, **params: Any) -> list[str]:
    response = client.get("/v1/jobs", params=params)
    assert response.status_code == 200, response.text
    return [job["id"] for job in response.json()["data"]]


def test_unchanged_job_is_a_304(client: TestClient, engine: Engine) -> None:
    job = create_job(engine)
    first = client.get(f"/v1/jobs/{job.id}")
    again = client.get(f"/v1/jobs/{job.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    attempt = create_attempt(engine, job)
    running = client.get(f"/v1/jobs/{job.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert (running.status_code, running.json()["status"], running.json()["worker"]) == (
        200,
        "running",
        "worker-1",
    )
    set_progress(attempt, {"phase": "training", "step": 3, "of": 10})
    progress = client.get(f"/v1/jobs/{job.id}", headers={"If-None-Match": running.headers["ETag"]})
    assert (progress.status_code, progress.json()["progress"]["step"]) == (200, 3)


def test_job_lists_each_of_its_warnings_once(client: TestClient, engine: Engine) -> None:
    """In order, with the time of the first: a second attempt repeats what the first warned of."""
    job = create_job(engine)
    warnings = [
        {"code": "diverged", "message": "The training has diverged."},
        {"code": "export_failed", "message": "student.onnx could not be made."},
        {"code": "export_failed", "message": "student.pt2 could not be made."},
    ]
    attempt = create_attempt(engine, job)
    with attempt.fenced_session() as (session, row):
        for warning in [*warnings, warnings[0]]:
            events.append(session, row, "warning", warning)
    body = client.get(f"/v1/jobs/{job.id}").json()
    assert [{k: entry[k] for k in ("code", "message")} for entry in body["warnings"]] == warnings
    assert body["warnings"][0]["at"].endswith("Z")


def test_stored_spec_without_new_fields_is_shown_as_it_runs(
    client: TestClient, engine: Engine
) -> None:
    job = create_job(engine)
    assert client.get(f"/v1/jobs/{job.id}").json()["spec"]["schedule"]["on_divergence"] == "stop"
    with write_session(engine) as session:
        row = session.get_one(JobRow, job.id)
        schedule = {k: v for k, v in row.spec["schedule"].items() if k != "on_divergence"}
        row.spec = {**row.spec, "schedule": schedule}
        row.version += 1
    spec = client.get(f"/v1/jobs/{job.id}").json()["spec"]
    assert spec["schedule"]["on_divergence"] == "continue"


def test_moving_up_in_the_queue_changes_the_etag(client: TestClient, engine: Engine) -> None:
    first, second = create_job(engine), create_job(engine)
    waiting = client.get(f"/v1/jobs/{second.id}")
    assert waiting.json()["queue_position"] == 2
    create_attempt(engine, first)
    moved = client.get(f"/v1/jobs/{second.id}", headers={"If-None-Match": waiting.headers["ETag"]})
    assert (moved.status_code, moved.json()["queue_position"]) == (200, 1)


@pytest.mark.parametrize(
    "job_id", ["job_none", "..%2f..%2fetc", "%00", "job_%00", "'", "x" * 2000, "%ed%a0%80"]
)
def test_unknown_job_id_is_a_404(client: TestClient, job_id: str) -> None:
    """Whatever its characters and its length."""
    response = client.get(f"/v1/jobs/{job_id}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.headers["Content-Type"] == "application/problem+json"


def test_jobs_are_sorted_by_creation_time(client: TestClient, engine: Engine) -> None:
    jobs = [create_job(engine).id for _ in range(3)]
    assert ids(client) == jobs[::-1]
    assert ids(client, sort="created_at") == jobs


def test_pages_cover_the_list_once(client: TestClient, engine: Engine) -> None:
    jobs = [create_job(engine).id for _ in range(5)]
    listed: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = client.get("/v1/jobs", params={"limit": 2, **after}).json()
        listed += [job["id"] for job in page["data"]]
        assert page["total"] is None
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        after = {"after": page["next_cursor"]}
    assert listed == jobs[::-1]


def test_total_is_counted_on_request(client: TestClient, engine: Engine) -> None:
    for seed in range(3):
        create_job(engine, metadata={"parity": str(seed % 2)})
    page = client.get(
        "/v1/jobs", params={"include_total": "true", "limit": 1, "metadata[parity]": "0"}
    ).json()
    assert (page["total"], len(page["data"])) == (2, 1)


def test_jobs_are_filtered_by_their_properties(client: TestClient, engine: Engine) -> None:
    plain = create_job(engine).id
    pgd = create_job(engine, method={"name": "pgd_at"}, metadata={"team": "a", "run": "1"}).id
    running = create_attempt(engine, create_job(engine, metadata={"team": "a"})).job_id
    assert ids(client, status="running") == [running]
    assert ids(client, status=["queued", "running"], sort="created_at") == [plain, pgd, running]
    assert ids(client, method="pgd_at") == [pgd]
    assert ids(client, **{"metadata[team]": "a"}) == [running, pgd]
    assert ids(client, **{"metadata[team]": "a", "metadata[run]": "1"}) == [pgd]
    assert len(ids(client, kind="adversarial_training", student="small_cnn", dataset="digits")) == 3
    assert (
        ids(client, kind="distillation")
        == ids(client, student="resnet18")
        == ids(client, dataset="none")
        == []
    )


def test_list_omits_specs_and_histories(client: TestClient, engine: Engine) -> None:
    create_job(engine)
    listed = client.get("/v1/jobs").json()["data"][0]
    assert not {"spec", "status_history", "queue_position", "measures"} & set(listed)


def test_results_are_in_the_order_of_tables(client: TestClient, engine: Engine) -> None:
    """However the database orders them: clients show the first accuracy under attack."""
    attempt = create_attempt(engine)
    keys = [
        "clean",
        "pgd-20@linf:8/255",
        "cw-30@linf:8/255",
        "autoattack@linf:8/255",
        "autoattack@l2:0.5",
        "held_out_pgd-10@linf:8/255",
        "ece",
    ]
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job, results={"best": dict.fromkeys(reversed(keys), 0.5)})
    body = client.get(f"/v1/jobs/{attempt.job_id}").json()
    assert list(body["results"]["best"]) == list(body["measures"]) == keys
    (listed,) = client.get("/v1/jobs").json()["data"]
    assert list(listed["results"]["best"]) == keys


def test_job_says_what_its_results_mean(client: TestClient, engine: Engine) -> None:
    """Attack, norm, radius, steps and version, once for each key of any network."""
    attempt = create_attempt(engine)
    key = "pgd-20:restarts=5@linf:8/255"
    results = {"best": {"clean": 0.9, key: 0.5}, "last": {key: 0.4, "ece": 0.1}}
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job, results=results)
    body = client.get(f"/v1/jobs/{attempt.job_id}").json()
    assert body["results"] == results
    assert list(body["measures"]) == ["clean", key, "ece"]
    assert body["measures"][key] == {
        "key": key,
        "name": "pgd",
        "title": "PGD-20 (restarts 5), L∞, 8/255",
        "label": "PGD-20 (restarts 5)",
        "unit": "%",
        "scale": 100.0,
        "accuracy": True,
        "norm": "linf",
        "radius": pytest.approx(8 / 255),
        "steps": 20,
        "version": "restarts=5",
        "run": 1,
    }
    clean = body["measures"]["clean"]
    assert (clean["title"], clean["norm"], clean["radius"]) == ("Clean", None, None)
    assert client.get(f"/v1/jobs/{create_job(engine).id}").json()["measures"] == {}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=1e2",
        "limit=1_0",
        "limit=",
        "sort=id",
        "sort=created_at;drop table jobs",
        "status=done",
        "after=xyz",
        "after=%00",
        "include_total=yes",
        "robust=1",
        "metadata[]=x",
        "metadata[a b]=x",
        "metadata[a]=" + "x" * 201,
        "metadata=x",
        "$where=1",
    ],
)
def test_malformed_filters_are_refused(client: TestClient, query: str) -> None:
    response = client.get(f"/v1/jobs?{query}")
    assert response.status_code == 422, response.text
    assert response.json()["errors"]


def test_failed_job_has_the_class_of_its_failure(client: TestClient, engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        apply_retry_policy(
            session, job, JobFailed("loss_not_finite", "user", "The loss is NaN."), RetryPolicy()
        )
    job_read = client.get(f"/v1/jobs/{attempt.job_id}").json()
    assert (job_read["status"], job_read["terminal"]) == ("failed", True)
    assert job_read["failure"] == {
        "code": "loss_not_finite",
        "class": "user",
        "message": "The loss is NaN.",
        "retryable": False,
        "attempt": 1,
        "advice": advice_for("loss_not_finite"),
    }


def test_queued_job_is_cancelled_at_once(client: TestClient, engine: Engine) -> None:
    """Repeating it is a 200 and changes nothing."""
    job = create_job(engine)
    first = client.post(f"/v1/jobs/{job.id}/cancel")
    assert (first.status_code, first.json()["status"]) == (202, "cancelled")
    again = client.post(f"/v1/jobs/{job.id}/cancel")
    assert (again.status_code, again.json()) == (200, first.json())


def test_running_job_is_cancelling_until_its_trainer_ends(
    client: TestClient, engine: Engine
) -> None:
    attempt = create_attempt(engine)
    responses = [client.post(f"/v1/jobs/{attempt.job_id}/cancel") for _ in range(2)]
    assert [response.status_code for response in responses] == [202, 200]
    assert {response.json()["status"] for response in responses} == {"cancelling"}


def test_succeeded_job_cannot_be_cancelled(client: TestClient, engine: Engine) -> None:
    attempt = create_attempt(engine)
    with attempt.fenced_session() as (session, job):
        attempts.succeed(session, job)
    response = client.post(f"/v1/jobs/{attempt.job_id}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "job_succeeded")
    assert "succeeded" in response.json()["detail"]


def test_jobs_of_another_project_are_hidden(client: TestClient, engine: Engine) -> None:
    job = create_job(engine, project_id=STRANGER)
    assert ids(client) == []
    assert client.get(f"/v1/jobs/{job.id}").status_code == 404
