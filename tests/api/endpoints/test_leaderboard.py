"""Leaderboards over REST."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from tests.api.conftest import STRANGERS_KEY, bearer
from tests.builders import create_teacher
from tests.measured_jobs import (
    AUTOATTACK,
    PGD,
    accuracy,
    finish_evaluation,
    finish_job,
)

EVERY = range(360)


def leaderboard(client: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    response = client.get("/v1/leaderboard", params=parameters)
    assert response.status_code == 200, response.text
    sections: list[dict[str, Any]] = response.json()["sections"]
    return sections


def test_ranks_are_ranges_that_the_images_support(client: TestClient, engine: Engine) -> None:
    teacher = create_teacher(engine)
    finish_evaluation(
        engine,
        teacher.id,
        accuracy("clean", EVERY, network="model"),
        accuracy(AUTOATTACK, range(250), network="model"),
    )
    students = [
        finish_job(
            engine,
            accuracy("clean", EVERY),
            accuracy(AUTOATTACK, range(count)),
            teacher_id=teacher.id,
        )
        for count in (201, 200, 120)
    ]
    [section] = leaderboard(client)
    assert (section["dataset"], section["threat_model"]["title"]) == ("digits", "L∞, 0.1")
    rows = section["rows"]
    assert [row["model_id"] for row in rows] == [
        teacher.id,
        *[student.model_id for student in students],
    ]
    assert [(row["rank"]["low"], row["rank"]["high"]) for row in rows] == [
        (1, 1),
        (2, 3),
        (2, 3),
        (4, 4),
    ]
    assert [row["method"] for row in rows] == [None, "arkd", "arkd", "arkd"]
    assert [row["parameters"] for row in rows] == [100, 1702, 1702, 1702]
    assert rows[0]["difference"] is None
    difference = rows[1]["difference"]
    assert (difference["only_this"], difference["only_other"]) == (0, 49)
    assert (difference["paired"], difference["verdict"]) == (True, "lower")
    assert rows[1]["job_id"] == rows[1]["measured_by"] == students[0].id
    assert rows[0]["job_id"] is None


def test_each_data_set_and_threat_model_has_a_section(client: TestClient, engine: Engine) -> None:
    finish_job(
        engine,
        accuracy("clean", EVERY),
        accuracy(AUTOATTACK, range(100)),
        accuracy("pgd-20@linf:8/255", range(300)),
        accuracy("autoattack@l2:0.5", range(200)),
    )
    sections = leaderboard(client)
    assert [section["measures"] for section in sections] == [
        ["clean", "pgd-20@linf:8/255"],
        ["clean", AUTOATTACK],
        ["clean", "autoattack@l2:0.5"],
    ]
    assert [section["deciding"] for section in leaderboard(client, radius="8/255")] == [
        "pgd-20@linf:8/255"
    ]
    assert len(leaderboard(client, norm="linf", dataset="digits")) == 2
    assert leaderboard(client, attack="cw") == []


def test_models_without_the_deciding_attack_have_no_rank(
    client: TestClient, engine: Engine
) -> None:
    attacked = finish_job(engine, accuracy(PGD, range(150)), accuracy(AUTOATTACK, range(100)))
    weaker = finish_job(engine, accuracy(PGD, range(300)))
    [section] = leaderboard(client)
    assert section["deciding"] == AUTOATTACK
    first, second = section["rows"]
    assert (first["model_id"], first["rank"]) == (attacked.model_id, {"low": 1, "high": 1})
    assert (second["model_id"], second["rank"], second["deciding"]) == (weaker.model_id, None, PGD)
    [section] = leaderboard(client, attack="pgd-20")
    assert [row["model_id"] for row in section["rows"]] == [weaker.model_id, attacked.model_id]
    assert section["deciding"] == PGD


def test_evaluation_on_more_images_replaces_a_result(client: TestClient, engine: Engine) -> None:
    job = finish_job(engine, accuracy(PGD, range(30), images=60, image_set="some"))
    model_id = str(job.model_id)
    full = finish_evaluation(engine, model_id, accuracy(PGD, range(100), network="model"))
    finish_evaluation(
        engine, model_id, accuracy(PGD, range(9), network="model", images=10, image_set="few")
    )
    [row] = leaderboard(client)[0]["rows"]
    assert (row["results"][PGD]["images"], row["measured_by"]) == (360, full.id)
    model = client.get(f"/v1/models/{model_id}").json()
    assert (model["results"][PGD]["value"], model["results"][PGD]["job_id"]) == (100 / 360, full.id)


def test_limit_says_that_there_are_more(client: TestClient, engine: Engine) -> None:
    for count in (10, 20, 30):
        finish_job(engine, accuracy(PGD, range(count)))
    [section] = leaderboard(client, limit=2)
    assert (len(section["rows"]), section["has_more"], section["compared"]) == (2, True, 3)


def test_deleted_models_and_other_projects_are_left_out(client: TestClient, engine: Engine) -> None:
    job = finish_job(engine, accuracy(PGD, range(10)))
    assert client.get("/v1/leaderboard", headers=bearer(STRANGERS_KEY)).json() == {"sections": []}
    assert client.delete(f"/v1/models/{job.model_id}").status_code == 200
    assert leaderboard(client) == []


def test_bad_filters_are_problems(client: TestClient) -> None:
    for query, status in (
        ("norm=l1", 422),
        ("radius=-1", 422),
        ("radius=nan", 422),
        ("radius=1/0", 422),
        ("limit=0", 422),
        ("dataset=none", 404),
        ("colour=red", 422),
    ):
        response = client.get(f"/v1/leaderboard?{query}")
        assert response.status_code == status, (query, response.text)
        assert response.headers["content-type"] == "application/problem+json"


def test_jobs_and_models_are_sorted_and_filtered_by_results(
    client: TestClient, engine: Engine
) -> None:
    best, worst = (
        finish_job(engine, accuracy(AUTOATTACK, range(count)), name=name)
        for count, name in ((300, "night run"), (100, "day run"))
    )

    def listed(path: str) -> list[str]:
        response = client.get(path)
        assert response.status_code == 200, response.text
        return [item["id"] for item in response.json()["data"]]

    assert listed(f"/v1/jobs?sort=-{AUTOATTACK}") == [best.id, worst.id]
    assert listed(f"/v1/jobs?sort=last:{AUTOATTACK}") == [worst.id, best.id]
    assert listed(f"/v1/jobs?result[{AUTOATTACK}]>=0.5") == [best.id]
    assert listed(f"/v1/jobs?result[{AUTOATTACK}]<0.5") == [worst.id]
    assert listed(f"/v1/jobs?result[{AUTOATTACK}]=>=0.2,<0.5") == [worst.id]
    assert listed("/v1/jobs?result[clean]>=0") == []
    assert listed("/v1/jobs?q=night") == [best.id]
    assert listed(f"/v1/models?sort=-{AUTOATTACK}") == [best.model_id, worst.model_id]
    assert listed(f"/v1/models?result[{AUTOATTACK}]>=0.5&q=night") == [best.model_id]
    page = client.get(f"/v1/jobs?sort=-{AUTOATTACK}&include_total=true&limit=1").json()
    assert (page["total"], page["has_more"]) == (2, True)
    assert page["data"][0]["intervals"]["best"][AUTOATTACK]["images"] == 360
    for query in ("sort=pgd-20", "sort=last:", "result[clean]=1", "result[x]>=1", "sort=-name"):
        response = client.get(f"/v1/jobs?{query}")
        assert (response.status_code, response.json()["status"]) == (422, 422)
    assert client.get(f"/v1/models?sort=best:{AUTOATTACK}").status_code == 422
