"""Comparisons of jobs over REST."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.endpoints import compare as compare_endpoints
from core.store import metrics
from core.store.database.engine import transaction
from core.store.database.fence import FencedSession
from tests.api.conftest import STRANGER, STRANGERS_KEY, bearer
from tests.builders import create_job, create_teacher
from tests.measured_jobs import AUTOATTACK, accuracy, finish_evaluation, finish_job, number

EVERY = range(360)


def compare(client: TestClient, *job_ids: str, **parameters: Any) -> dict[str, Any]:
    response = client.get("/v1/compare", params={"jobs": ",".join(job_ids), **parameters})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_paired_differences_to_the_base(client: TestClient, engine: Engine) -> None:
    """As drawn: 5 images only one holds, 9 only the other, of 360."""
    base = finish_job(engine, accuracy("clean", EVERY), accuracy(AUTOATTACK, range(179)))
    other = finish_job(
        engine,
        accuracy("clean", range(359)),
        accuracy(AUTOATTACK, range(9, 184)),
        seed=3,
        method={"name": "trades", "beta": 4.0},
    )
    body = compare(client, base.id, other.id)
    assert (body["base"], [job["id"] for job in body["jobs"]]) == (base.id, [base.id, other.id])
    assert body["jobs"][0]["parameters"] == 1702
    assert {setting["path"]: setting["values"] for setting in body["settings"]["different"]} == {
        "seed": [0, 3],
        "method.beta": [6.0, 4.0],
    }
    assert body["settings"]["equal"] > 20
    [section] = body["sections"]
    assert (section["dataset"], section["threat_model"]["title"]) == ("digits", "L∞, 0.1")
    assert (section["deciding"], section["measures"]) == (AUTOATTACK, ["clean", AUTOATTACK])
    assert section["comparisons"] == 1
    first, second = section["rows"]
    assert first["differences"] == {}
    difference = second["differences"][AUTOATTACK]
    assert difference["value"] == pytest.approx(-4 / 360)
    assert (difference["only_this"], difference["only_other"]) == (5, 9)
    assert difference["p"] == pytest.approx(0.423950, abs=1e-6)
    assert difference["paired"]
    assert difference["verdict"] == "not distinguishable"
    assert difference["low"] < difference["value"] < 0 < difference["high"]
    assert second["results"]["clean"]["value"] == pytest.approx(359 / 360)
    assert second["results"]["clean"]["images"] == 360
    assert (first["pareto"], second["pareto"]) == (True, False)


def test_verdict_follows_the_adjusted_test(client: TestClient, engine: Engine) -> None:
    ids = [
        finish_job(engine, accuracy("clean", EVERY), accuracy(AUTOATTACK, range(count))).id
        for count in (100, 150, 50)
    ]
    rows = compare(client, *ids)["sections"][0]["rows"]
    verdicts = [row["differences"][AUTOATTACK]["verdict"] for row in rows[1:]]
    assert verdicts == ["higher", "lower"]
    rows = compare(client, *ids, base=ids[2])["sections"][0]["rows"]
    assert [row["differences"][AUTOATTACK]["verdict"] for row in rows[:2]] == ["higher", "higher"]


def test_base_is_the_first_job_with_results(client: TestClient, engine: Engine) -> None:
    queued = create_job(engine)
    tested = finish_job(engine, accuracy(AUTOATTACK, range(100)))
    assert compare(client, queued.id, tested.id)["base"] == tested.id
    other = create_job(engine)
    assert compare(client, queued.id, other.id)["base"] == queued.id


def test_unlike_threat_models_have_their_own_sections(client: TestClient, engine: Engine) -> None:
    first = finish_job(engine, accuracy("clean", EVERY), accuracy(AUTOATTACK, range(100)))
    second = finish_job(engine, accuracy("clean", EVERY), accuracy("pgd-20@linf:8/255", EVERY))
    sections = compare(client, first.id, second.id)["sections"]
    assert [(section["measures"], len(section["rows"])) for section in sections] == [
        (["clean", AUTOATTACK], 1),
        (["clean", "pgd-20@linf:8/255"], 1),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"masked": False}, "was not stored"),
        ({"image_set": "others"}, "measured on other images"),
        ({"image_set": None}, "measured on other images"),
    ],
)
def test_without_common_masks_it_is_not_paired(
    changes: dict[str, Any], reason: str, client: TestClient, engine: Engine
) -> None:
    base = finish_job(engine, accuracy(AUTOATTACK, range(100)))
    other = finish_job(engine, accuracy(AUTOATTACK, range(200), **changes))
    row = compare(client, base.id, other.id)["sections"][0]["rows"][1]
    difference = row["differences"][AUTOATTACK]
    assert (difference["paired"], difference["only_this"], difference["verdict"]) == (
        False,
        None,
        "higher",
    )
    assert reason in difference["note"]
    assert difference["note"].startswith("Not paired")


def test_results_of_earlier_versions_are_not_compared(client: TestClient, engine: Engine) -> None:
    base = finish_job(engine, accuracy(AUTOATTACK, range(100)))
    old = finish_job(engine, number(AUTOATTACK, 0.5))
    row = compare(client, base.id, old.id)["sections"][0]["rows"][1]
    difference = row["differences"][AUTOATTACK]
    assert (difference["verdict"], difference["p"]) == ("not compared", None)
    assert difference["note"].startswith("Not compared")
    assert row["results"][AUTOATTACK] == {"value": 0.5, "low": None, "high": None, "images": None}


def test_evaluations_stand_beside_trainings(client: TestClient, engine: Engine) -> None:
    teacher = create_teacher(engine)
    evaluation = finish_evaluation(
        engine, teacher.id, accuracy(AUTOATTACK, range(90), network="model")
    )
    job = finish_job(engine, accuracy(AUTOATTACK, range(100)), teacher_id=teacher.id)
    body = compare(client, evaluation.id, job.id)
    assert body["jobs"][0]["model_id"] == teacher.id
    rows = body["sections"][0]["rows"]
    assert [row["network"] for row in rows] == ["model", "best"]
    assert rows[1]["differences"][AUTOATTACK]["only_this"] == 10


def test_accuracies_by_class_are_returned_on_request(client: TestClient, engine: Engine) -> None:
    ids = [
        finish_job(engine, accuracy("clean", EVERY, per_class=[1.0, None, 1 / 3])).id
        for _ in range(2)
    ]
    row = compare(client, *ids, per_class="true")["sections"][0]["rows"][0]
    assert row["per_class"] == {"clean": [1.0, None, 0.33333]}
    assert compare(client, *ids)["sections"][0]["rows"][0]["per_class"] is None


def test_bad_requests_are_problems(client: TestClient, engine: Engine) -> None:
    job = finish_job(engine, accuracy("clean", EVERY))
    other = finish_job(engine, accuracy("clean", EVERY))
    for query, status in (
        (f"jobs={job.id}", 422),
        (f"jobs={job.id},{job.id}", 422),
        ("jobs=" + ",".join(f"job_{n}" for n in range(301)), 422),
        (f"jobs={job.id},job_none", 404),
        (f"jobs={job.id},{other.id}&base=job_none", 422),
        (f"jobs={job.id},{other.id}&network=first", 422),
        ("", 422),
    ):
        response = client.get(f"/v1/compare?{query}")
        assert response.status_code == status, (query, response.text)
        assert response.headers["content-type"] == "application/problem+json"
    both = f"/v1/compare?jobs={job.id}&jobs={other.id}"
    assert client.get(both).status_code == 200
    assert client.get(both, headers=bearer(STRANGERS_KEY)).status_code == 404


# -- metrics of many jobs


def record_curve(engine: Engine, job_id: str, steps: int) -> None:
    with transaction(engine, FencedSession) as session:
        rows = [(step, {"loss": 1 / step, "rate": 0.1}) for step in range(1, steps + 1)]
        metrics.record_many(session, job_id, 1, rows)


def test_metrics_of_many_jobs_are_those_of_each(client: TestClient, engine: Engine) -> None:
    """In the order of the request, thinned alike; a job without the metric has no series."""
    long, short, none = (create_job(engine).id for _ in range(3))
    record_curve(engine, long, 900)
    record_curve(engine, short, 3)
    body = client.get(
        "/v1/compare/metrics",
        params={"jobs": f"{none},{long},{short}", "names": "loss,none", "points": 40},
    ).json()
    assert [job["job_id"] for job in body["jobs"]] == [none, long, short]
    assert body["jobs"][0]["series"] == []
    for job in body["jobs"]:
        own = client.get(f"/v1/jobs/{job['job_id']}/metrics?names=loss,none&points=40")
        assert job["series"] == own.json()["series"]
    assert len(body["jobs"][1]["series"][0]["points"]) <= 44
    assert [len(series["points"]) for series in body["jobs"][2]["series"]] == [3]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("jobs=&names=loss", "jobs"),
        ("jobs={id}&names=,", "names"),
        ("jobs={id}&names=a%00b", "names"),
        ("jobs={id}&names=" + ",".join(f"m{number}" for number in range(21)), "names"),
        ("jobs={id}&names=loss&points=3", "points"),
        ("jobs={id}&names=loss&points=10001", "points"),
        ("jobs=" + ",".join(f"j{number}" for number in range(301)) + "&names=loss", "jobs"),
        (
            "jobs=" + ",".join(f"j{number}" for number in range(300)) + "&names=loss&points=9000",
            "points",
        ),
    ],
)
def test_wrong_requests_for_metrics_are_a_422(
    client: TestClient, engine: Engine, query: str, field: str
) -> None:
    response = client.get(f"/v1/compare/metrics?{query.format(id=create_job(engine).id)}")
    assert response.status_code == 422, response.text
    assert response.json()["param"].startswith(field)


def test_metrics_of_too_many_values_are_refused(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = create_job(engine).id
    record_curve(engine, job_id, 20)
    monkeypatch.setattr(compare_endpoints, "MAX_VALUES", 19)
    response = client.get(f"/v1/compare/metrics?jobs={job_id}&names=loss")
    assert response.status_code == 422
    assert "20 values" in response.json()["errors"][0]["message"]


def test_metrics_of_other_projects_are_a_404(client: TestClient, engine: Engine) -> None:
    own, strange = create_job(engine).id, create_job(engine, STRANGER).id
    for other in (strange, "job_none", "../x"):
        response = client.get(f"/v1/compare/metrics?jobs={own},{other}&names=loss")
        assert response.status_code == 404
