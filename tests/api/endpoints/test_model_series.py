"""Versions and aliases of models in requests, and lineage."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from core.store import attempts, jobs
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, AuditRow, JobRow, ModelRow
from core.store.registry import models
from tests.api.conftest import STRANGERS_KEY, bearer, make_key
from tests.builders import (
    SHA256,
    create_attempt,
    create_teacher,
    distillation_body,
    distillation_spec,
    model_description,
    training_body,
)

RESULTS = {
    "best": {
        "pgd-20@linf:0.1": 0.5,
        "clean": 0.75,
        "held_out_clean": 0.9,
        "ece": 0.1,
    },
    "last": {"clean": 0.25},
}


def create_student(engine: Engine, teacher: ModelRow, name: str = "digits student") -> ModelRow:
    """Let a distillation succeed; return its student."""
    with write_session(engine) as session:
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            distillation_spec(name=name),
            dataset_id=DIGITS_ID,
            teacher_id=teacher.id,
        )
    attempt = create_attempt(engine, job)
    with attempt.fenced_session() as (session, job):
        student = models.publish(
            session,
            job,
            model_description(),
            object_key="key",
            size=1,
            sha256=SHA256,
            parameters=100,
        )
        attempts.succeed(session, job, results=RESULTS, model_id=student.id)
    return student


@pytest.fixture
def students(engine: Engine) -> list[ModelRow]:
    """Two versions of the series ``digits-student``."""
    teacher = create_teacher(engine)
    return [create_student(engine, teacher) for _ in range(2)]


def find_job(engine: Engine, job_id: str) -> JobRow:
    with read_session(engine) as session:
        return jobs.get(session, DEFAULT_PROJECT, job_id)


def set_alias(client: TestClient, reference: str, alias: str, model: str) -> dict[str, Any]:
    response = client.put(f"/v1/models/{reference}/aliases/{alias}", json={"model": model})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_models_say_series_version_and_aliases(
    client: TestClient, students: list[ModelRow]
) -> None:
    for version, student in enumerate(students, 1):
        model = client.get(f"/v1/models/digits-student@{version}").json()
        assert model["id"] == student.id
        assert (model["series"], model["series_version"]) == ("digits-student", version)
        assert model["aliases"] == []
    named = set_alias(client, "digits-student", "champion", students[0].id)
    assert (named["id"], named["aliases"]) == (students[0].id, ["champion"])
    assert client.get("/v1/models/digits-student@champion").json() == named
    moved = set_alias(client, students[0].id, "champion", "digits-student@2")
    assert (moved["id"], moved["aliases"]) == (students[1].id, ["champion"])
    assert client.get(f"/v1/models/{students[0].id}").json()["aliases"] == []


def test_models_are_filtered_by_series_and_alias(
    client: TestClient, students: list[ModelRow]
) -> None:
    set_alias(client, "digits-student", "champion", students[0].id)
    set_alias(client, "teacher", "champion", "teacher")

    def listed(**filters: str) -> list[str]:
        page = client.get("/v1/models", params=filters).json()
        return [f"{model['series']}@{model['series_version']}" for model in page["data"]]

    assert listed(series="digits-student") == ["digits-student@2", "digits-student@1"]
    assert listed(alias="champion") == ["digits-student@1", "teacher@1"]
    assert listed(series="digits-student", alias="champion") == ["digits-student@1"]
    assert listed(series="nothing") == listed(alias="nothing") == []


def test_jobs_refer_to_versions_and_store_ids(client: TestClient, students: list[ModelRow]) -> None:
    """Wherever a model is named. A job keeps its model when the alias moves."""
    set_alias(client, "digits-student", "champion", students[0].id)
    body = distillation_body(
        teacher="digits-student@champion",
        start_from="digits-student@2",
        student=students[0].description["network"],
    )
    job = client.post("/v1/jobs", json=body).json()
    assert job["teacher_id"] == job["spec"]["teacher"] == students[0].id
    assert job["spec"]["start_from"] == students[1].id
    evaluation = {
        "kind": "evaluation",
        "model": "digits-student@2",
        "reference": "digits-student@champion",
        "data": {"dataset": "digits"},
        "radius": 0.1,
    }
    dry_run = client.post("/v1/jobs?dry_run=true", json=evaluation).json()
    assert dry_run["spec"]["model"] == students[1].id
    assert dry_run["spec"]["reference"] == dry_run["teacher_id"] == students[0].id
    set_alias(client, "digits-student", "champion", students[1].id)
    clone = client.post(f"/v1/jobs/{job['id']}/clone", json={"seed": 3}).json()
    assert clone["teacher_id"] == students[0].id
    sweep = {"base": {**body, "teacher": "digits-student@champion"}, "axes": {"seed": [1, 2]}}
    planned = client.post("/v1/sweeps?dry_run=true", json=sweep).json()["jobs"]
    assert {point["spec"]["teacher"] for point in planned} == {students[1].id}


def test_an_unknown_version_names_the_field(client: TestClient, students: list[ModelRow]) -> None:
    for reference in ("digits-student@3", "digits-student@nobody", "digits-student", "a@b"):
        response = client.post("/v1/jobs", json=distillation_body(teacher=reference))
        assert (response.status_code, response.json()["param"]) == (422, "teacher")
        known = "write digits-student@2" in response.json()["detail"]
        assert known == reference.startswith("digits-student")
        assert client.get(f"/v1/models/{reference}").status_code == 404


def test_aliases_are_removed(client: TestClient, students: list[ModelRow]) -> None:
    set_alias(client, "digits-student", "champion", students[0].id)
    path = f"/v1/models/{students[0].id}"
    refused = client.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "has_alias")
    removed = client.delete("/v1/models/digits-student/aliases/champion")
    assert (removed.status_code, removed.json()["id"]) == (200, students[0].id)
    assert client.delete("/v1/models/digits-student/aliases/champion").status_code == 404
    assert client.delete(path).status_code == 200


def test_wrong_aliases_are_refused(client: TestClient, students: list[ModelRow]) -> None:
    path = "/v1/models/digits-student/aliases"
    for alias in ("3", "Champion", "a" * 33, "a.b"):
        response = client.put(f"{path}/{alias}", json={"model": students[0].id})
        assert (response.status_code, response.json()["param"]) == (422, "alias")
    for model, status in (("teacher", 422), ("nobody", 422), ("", 422)):
        response = client.put(f"{path}/a", json={"model": model})
        assert (response.status_code, response.json()["param"]) == (status, "model")
    assert client.put("/v1/models/nobody/aliases/a", json={"model": "teacher"}).status_code == 404


def test_aliases_need_scope_and_project(
    client: TestClient, students: list[ModelRow], engine: Engine
) -> None:
    path = "/v1/models/digits-student/aliases/champion"
    body = {"model": students[0].id}
    assert client.put(path, json=body, headers=make_key(engine, "read")).status_code == 403
    stranger = bearer(STRANGERS_KEY)
    assert client.put(path, json=body, headers=stranger).status_code == 404
    lineage = f"/v1/models/{students[0].id}/lineage"
    assert client.get(lineage, headers=stranger).status_code == 404
    set_alias(client, "digits-student", "champion", students[0].id)
    with read_session(engine) as session:
        targets = session.scalars(
            select(AuditRow.target).where(
                AuditRow.action.startswith("PUT "), AuditRow.status == 200
            )
        ).all()
    assert targets == ["digits-student@champion"]


def test_uploads_join_a_series(client: TestClient, engine: Engine) -> None:
    create_teacher(engine)
    body: dict[str, Any] = {
        "network": {"architecture": "small_cnn"},
        "classes": 10,
        "channels": 1,
        "height": 8,
        "width": 8,
    }
    again = client.post("/v1/models", json={**body, "name": "teacher"})
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    model = client.post("/v1/models", json={**body, "series": "teacher"}).json()
    assert (model["series"], model["series_version"]) == ("teacher", None)
    assert model["name"].startswith("teacher-")
    named = client.post("/v1/models", json={**body, "series": "teacher", "name": "mine"}).json()
    assert (named["series"], named["name"]) == ("teacher", "mine")
    nameless = client.post("/v1/models", json=body)
    assert (nameless.status_code, nameless.json()["param"]) == (422, "name")


def test_lineage_shows_models_jobs_and_results(
    client: TestClient, students: list[ModelRow]
) -> None:
    set_alias(client, "digits-student", "champion", students[0].id)
    response = client.get("/v1/models/digits-student@champion/lineage")
    assert response.status_code == 200
    graph = response.json()
    student, job, teacher = graph["nodes"]
    assert graph["root"] == student["id"] == students[0].id
    assert graph["edges"] == [
        {"source": job["id"], "target": student["id"], "role": "student"},
        {"source": teacher["id"], "target": job["id"], "role": "teacher"},
    ]
    assert (graph["cut"], student["has_more"]) == ([], False)
    assert (student["series_version"], student["aliases"]) == (1, ["champion"])
    assert (student["method"], student["parameters"]) == ("arkd", 100)
    assert (job["kind"], job["status"], job["dataset"]) == ("distillation", "succeeded", "digits")
    assert list(student["results"].items()) == [("clean", 0.75), ("pgd-20@linf:0.1", 0.5)]
    assert job["results"] == student["results"]
    assert list(graph["measures"]) == list(student["results"])
    assert (teacher["type"], teacher["name"], teacher["deleted"]) == ("model", "teacher", False)


def test_lineage_says_when_it_is_cut(client: TestClient, students: list[ModelRow]) -> None:
    graph = client.get("/v1/models/teacher/lineage", params={"max_nodes": 3}).json()
    assert (graph["cut"], len(graph["nodes"])) == (["nodes"], 3)
    assert [node["has_more"] for node in graph["nodes"]] == [False, True, True]
    for query in ("max_nodes=0", "max_nodes=501", "generations=0", "generations=21", "depth=1"):
        assert client.get(f"/v1/models/teacher/lineage?{query}").status_code == 422


def test_lineage_keeps_deleted_nodes(client: TestClient, students: list[ModelRow]) -> None:
    assert client.delete("/v1/models/teacher").status_code == 200
    graph = client.get(f"/v1/models/{students[0].id}/lineage").json()
    assert [node["deleted"] for node in graph["nodes"]] == [False, False, True]
    assert client.get("/v1/models/teacher/lineage").status_code == 404


def test_a_renamed_job_names_the_series(client: TestClient, engine: Engine) -> None:
    """Its student is a version of the series that the job is named after when it ends."""
    job = client.post("/v1/jobs", json=training_body(name="before")).json()
    attempt = create_attempt(engine, find_job(engine, job["id"]))
    client.patch(f"/v1/jobs/{job['id']}", json={"name": "after"})
    with attempt.fenced_session() as (session, row):
        student = models.publish(
            session, row, model_description(), object_key="key", size=1, sha256=SHA256
        )
    assert (student.series, student.series_version) == ("after", 1)
