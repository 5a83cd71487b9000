"""Lists of jobs, models, data sets and sweeps: counts, order by end, deleted ones, what decides."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from core.jobspec.status import STATUSES
from core.jobspec.sweep import SweepSpec
from core.store import sweeps
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow
from tests.api.conftest import STRANGER, STRANGERS_KEY, bearer
from tests.builders import create_attempt, create_job, create_teacher
from tests.intruders.problems import assert_problem
from tests.measured_jobs import AUTOATTACK, PGD, accuracy, finish_evaluation, finish_job

STRANGERS_HEADERS = bearer(STRANGERS_KEY)


def get(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def ids(client: TestClient, path: str = "/v1/jobs", **parameters: Any) -> list[str]:
    return [item["id"] for item in get(client, path, **parameters)["data"]]


def cancel(client: TestClient, job_id: str) -> str:
    assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    return job_id


def set_end(engine: Engine, job_id: str, finished_at: int) -> None:
    with write_session(engine) as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(finished_at=finished_at))


# -- counts


def test_jobs_are_counted_by_status(client: TestClient, engine: Engine) -> None:
    for _ in range(3):
        create_job(engine, metadata={"team": "vision"})
    create_attempt(engine, create_job(engine))
    create_job(engine, STRANGER)
    deleted = cancel(client, create_job(engine).id)
    client.delete(f"/v1/jobs/{deleted}")
    counts = get(client, "/v1/job-counts")
    statuses = {name: count for name, count in counts["statuses"].items() if count}
    assert (counts["total"], statuses) == (4, {"queued": 3, "running": 1})
    assert set(counts["statuses"]) == set(STATUSES)
    assert get(client, "/v1/job-counts", status=["running", "failed"]) == {
        "total": 1,
        "statuses": {"running": 1, "failed": 0},
    }
    assert get(client, "/v1/job-counts", **{"metadata[team]": "vision"})["total"] == 3
    assert get(client, "/v1/job-counts", deleted="true")["statuses"]["cancelled"] == 1


@pytest.mark.parametrize(
    "query", ["status=done", "metadata[]=x", "result[x]>=y", "deleted=1", "kind=x"]
)
def test_wrong_filters_of_counts_are_a_422(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"/v1/job-counts?{query}"), "invalid_request")


def test_totals_of_every_list(client: TestClient, engine: Engine) -> None:
    for name in ("one", "two", "three"):
        create_teacher(engine, name)
    create_job(engine)
    with write_session(engine) as session:
        for _ in range(2):
            sweeps.create(session, DEFAULT_PROJECT, SweepSpec(base={}))
        sweeps.create(session, STRANGER, SweepSpec(base={}))
    totals = {"/v1/models": 3, "/v1/datasets": 1, "/v1/jobs": 1, "/v1/sweeps": 2}
    for path, total in totals.items():
        page = get(client, path, include_total="true", limit=1)
        assert (page["total"], len(page["data"])) == (total, 1)
        assert get(client, path)["total"] is None
    assert get(client, "/v1/models", include_total="true", q="tw")["total"] == 1


# -- by the time of the end


def test_jobs_are_sorted_by_their_end(client: TestClient, engine: Engine) -> None:
    """In pages; only those that have ended."""
    ended = [cancel(client, create_job(engine).id) for _ in range(4)]
    for job_id, finished_at in zip(ended, (3000, 1000, 4000, 1000), strict=True):
        set_end(engine, job_id, finished_at)
    create_job(engine)
    expected = [ended[2], ended[0], ended[3], ended[1]]
    page = get(client, "/v1/jobs", sort="-finished_at", limit=3, include_total="true")
    assert ([job["id"] for job in page["data"]], page["total"]) == (expected[:3], 4)
    rest = ids(client, sort="-finished_at", limit=3, after=page["next_cursor"])
    assert rest == expected[3:]
    assert ids(client, sort="finished_at") == expected[::-1]
    assert ids(client, sort="-finished_at", status="failed") == []
    assert ids(client, sort="-finished_at", status="cancelled", method="pgd_at") == []


def test_a_retried_job_has_no_end(client: TestClient, engine: Engine) -> None:
    job_id = cancel(client, create_job(engine).id)
    assert ids(client, sort="-finished_at") == [job_id]
    client.post(f"/v1/jobs/{job_id}/retry")
    assert ids(client, sort="-finished_at") == []


def test_models_have_no_end_to_be_sorted_by(client: TestClient) -> None:
    assert_problem(client.get("/v1/models?sort=-finished_at"), "invalid_request")


# -- deleted


def test_deleted_items_are_listed_until_restored(client: TestClient, engine: Engine) -> None:
    job, other = (cancel(client, create_job(engine).id) for _ in range(2))
    model = create_teacher(engine).id
    dataset = client.post("/v1/datasets", json={"name": "mine"}).json()["id"]
    for path, item in (("jobs", job), ("models", model), ("datasets", dataset)):
        address = f"/v1/{path}"
        assert ids(client, address, deleted="true") == []
        assert client.delete(f"{address}/{item}").status_code == 200
        page = get(client, address, deleted="true", include_total="true")
        assert [row["id"] for row in page["data"]] == [item]
        assert page["total"] == 1
        assert page["data"][0]["deleted_at"].endswith("Z")
        assert item not in ids(client, address)
        assert client.get(f"{address}?deleted=true", headers=STRANGERS_HEADERS).json()["data"] == []
        assert client.post(f"{address}/{item}/restore").status_code == 200
        assert ids(client, address, deleted="true") == []
        assert item in ids(client, address)
    assert other in ids(client)


def test_deleted_jobs_are_filtered_and_sorted(client: TestClient, engine: Engine) -> None:
    """Also by a result, and in pages."""
    high = finish_job(engine, accuracy(PGD, range(200)), metadata={"team": "vision"})
    low = finish_job(engine, accuracy(PGD, range(100)))
    finish_job(engine, accuracy(PGD, range(300)))
    for job in (high, low):
        assert client.delete(f"/v1/jobs/{job.id}").status_code == 200
    assert ids(client, deleted="true", sort=f"-{PGD}") == [high.id, low.id]
    assert ids(client, deleted="true", sort="-finished_at") == [low.id, high.id]
    assert ids(client, deleted="true", **{"metadata[team]": "vision"}) == [high.id]
    first = get(client, "/v1/jobs", deleted="true", limit=1)
    assert ids(client, deleted="true", after=first["next_cursor"]) == [high.id]


# -- what decides


def test_job_and_model_say_which_result_decides(client: TestClient, engine: Engine) -> None:
    """The strongest attack, also where another gave a lower number."""
    results = (
        accuracy("clean", range(300)),
        accuracy(PGD, range(150)),
        accuracy(AUTOATTACK, range(160)),
        accuracy("pgd-20@linf:0.2", range(50)),
    )
    job = finish_job(engine, *results)
    expected = [AUTOATTACK, "pgd-20@linf:0.2"]
    assert get(client, f"/v1/jobs/{job.id}")["deciding"] == expected
    [listed] = get(client, "/v1/jobs")["data"]
    assert listed["deciding"] == expected
    [model] = get(client, "/v1/models")["data"]
    assert model["deciding"] == expected
    lineage = get(client, f"/v1/models/{model['id']}/lineage")
    assert [node["deciding"] for node in lineage["nodes"]] == [expected, expected]


def test_a_page_says_what_decides_among_its_jobs(client: TestClient, engine: Engine) -> None:
    first = finish_job(engine, accuracy(PGD, range(150)))
    finish_job(engine, accuracy(PGD, range(150)))
    finish_evaluation(engine, str(first.model_id), accuracy(AUTOATTACK, range(9), network="model"))
    create_job(engine)
    [section] = get(client, "/v1/jobs")["sections"]
    assert (section["dataset_id"], section["threat_model"]["title"]) == ("ds_digits", "L∞, 0.1")
    assert (section["jobs"], section["deciding"]) == (3, AUTOATTACK)
    [section] = get(client, "/v1/jobs", kind="adversarial_training")["sections"]
    assert (section["jobs"], section["deciding"]) == (2, PGD)
