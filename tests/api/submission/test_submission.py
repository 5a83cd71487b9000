from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core import queue
from core.store import datasets, models, uploaded_items
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from tests.api.conftest import STRANGER
from tests.builders import (
    create_job,
    create_teacher,
    create_attempt,
    distillation_body,
    model_description,
    training_body,
)


def paths(answer: Any) -> list[list[str | int]]:
    assert answer.status_code == 422, answer.text
    return [error["path"] for error in answer.json()["errors"]]


def count(client: TestClient) -> int:
    return int(client.get("/v1/jobs", params={"include_total": "true"}).json()["total"])


def test_a_submitted_job_is_queued_with_every_default_written_out(client: TestClient) -> None:
    answer = client.post(
        "/v1/jobs",
        json={
            "kind": "adversarial_training",
            "student": {"architecture": "small_cnn"},
            "data": {"dataset": "digits"},
        },
    )
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["status"], job["terminal"], job["queue_position"]) == ("queued", False, 1)
    assert (job["student"], job["method"], job["dataset"], job["dataset_id"]) == (
        "small_cnn",
        "trades",
        "digits",
        DIGITS_ID,
    )
    assert job["spec"]["data"]["augmentation"] == {
        "crop_padding": 0,
        "resized_crop": None,
        "flip": False,
    }
    assert job["spec"]["evaluation"]["attacks"][0]["radius"] == pytest.approx(8 / 255)
    assert [change["status"] for change in job["status_history"]] == ["queued"]
    assert client.get(answer.headers["Location"]).json() == job


def test_a_radius_may_be_a_fraction(client: TestClient) -> None:
    answer = client.post(
        "/v1/jobs", json=training_body(adversary={"name": "pgd", "radius": "4/255"})
    )
    assert answer.json()["spec"]["adversary"]["radius"] == pytest.approx(4 / 255)


def test_a_dry_run_answers_with_the_resolved_spec_and_an_estimate_and_stores_nothing(
    client: TestClient,
) -> None:
    answer = client.post("/v1/jobs", params={"dry_run": "true"}, json=training_body())
    assert answer.status_code == 200
    found = answer.json()
    assert found["dataset_id"] == DIGITS_ID
    assert found["spec"]["evaluation"]["attacks"][0]["step_size"] == pytest.approx(0.025)
    # 256 images, a tenth held out: 230 train in 3 batches of 64; the trainer attacks 64 test images.
    assert found["estimate"]["steps"] == 3
    assert (found["estimate"]["training_images"], found["estimate"]["held_out_images"]) == (230, 26)
    # TRADES: 2 steps + 3 passes on 3 * 64 images; PGD-10 on 26; clean and PGD-2 on 64, for two networks.
    assert found["estimate"]["network_passes"] == 5 * 192 + 12 * 26 + 2 * 64 * 4
    assert count(client) == 0


def test_a_dry_run_refuses_what_a_submission_would_refuse(client: TestClient) -> None:
    assert paths(client.post("/v1/jobs", params={"dry_run": "true"}, json=distillation_body())) == [
        ["teacher"]
    ]


def test_a_known_architecture_has_its_size_estimated(client: TestClient, engine: Engine) -> None:
    with write_session(engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, "colour", "folder")
        from tests.builders import dataset_description

        uploaded_items.mark_ready(
            session,
            row,
            dataset_description(train_images=1000),
            object_key="k",
            size=1,
            sha256="0" * 64,
        )
    body = training_body(student={"architecture": "resnet18"}, data={"dataset": "colour"})
    estimate = client.post("/v1/jobs", params={"dry_run": "true"}, json=body).json()["estimate"]
    assert estimate["student_parameters"] == 11_168_832 + 513 * 3
    assert estimate["checkpoint_bytes"] == estimate["student_parameters"] * 12


def test_a_job_may_name_its_data_set_by_id_and_its_teacher_by_name_id_or_job(
    client: TestClient, engine: Engine
) -> None:
    teacher = create_teacher(engine)
    maker = create_attempt(engine)
    with maker.fenced_session() as (session, job):
        student = models.publish(
            session, job, model_description(), object_key="k", size=1, sha256="0" * 64
        )
        from core.store import attempts

        attempts.succeed(session, job, model_id=student.id)
    data = {"dataset": DIGITS_ID, "limit": 256}
    for reference, meant in (
        ("teacher", teacher.id),
        (teacher.id, teacher.id),
        (maker.job_id, student.id),
    ):
        answer = client.post("/v1/jobs", json=distillation_body(teacher=reference, data=data))
        assert (answer.status_code, answer.json().get("teacher_id")) == (201, meant)


def test_an_unknown_data_set_and_an_unknown_teacher_are_both_named(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=distillation_body(data={"dataset": "nowhere"}))
    assert paths(answer) == [["data", "dataset"], ["teacher"]]
    assert "nowhere" in answer.json()["errors"][0]["message"]
    assert answer.json()["code"] == "job_cannot_run"


def test_what_is_not_ready_is_refused_with_its_state(client: TestClient, engine: Engine) -> None:
    with write_session(engine) as session:
        datasets.create(session, DEFAULT_PROJECT, "coming", "upload", status="awaiting_upload")
        models.create(session, DEFAULT_PROJECT, "half", model_description())
    answer = client.post(
        "/v1/jobs", json=distillation_body(teacher="half", data={"dataset": "coming"})
    )
    assert paths(answer) == [["data", "dataset"], ["teacher"]]
    assert "awaiting upload" in answer.json()["errors"][0]["message"]
    assert "importing" in answer.json()["errors"][1]["message"]


def test_another_projects_teacher_does_not_exist(client: TestClient, engine: Engine) -> None:
    create_teacher(engine, project_id=STRANGER)
    assert paths(client.post("/v1/jobs", json=distillation_body())) == [["teacher"]]


def test_a_job_without_a_student_cannot_teach(client: TestClient, engine: Engine) -> None:
    answer = client.post("/v1/jobs", json=distillation_body(teacher=create_job(engine).id))
    assert paths(answer) == [["teacher"]]
    assert "queued" in answer.json()["detail"]


def test_every_part_that_does_not_fit_is_named_at_once(client: TestClient, engine: Engine) -> None:
    create_teacher(engine)
    body = distillation_body(student={"architecture": "resnet18"}, schedule={"batch_size": 4096})
    assert paths(client.post("/v1/jobs", json=body)) == [
        ["student", "architecture"],
        ["student", "architecture"],
        ["schedule", "batch_size"],
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"schedule": {"epochs": 10**9}}, ["schedule", "epochs"]),
        (
            {"method": {"name": "starship", "gram": {"distance": {"name": "max_exp", "eta": 0}}}},
            ["method", "gram", "distance", "eta"],
        ),
        ({"method": {"name": "nonsense"}}, ["method"]),
        ({"metadata": {"not a label": "x"}}, ["metadata", "not a label"]),
        (
            {"evaluation": {"attacks": [{"name": "pgd"}, {"name": "cw", "steps": 0}]}},
            ["evaluation", "attacks", 1, "steps"],
        ),
        ({"surprise": 1}, ["surprise"]),
        ({"seed": "1"}, ["seed"]),
        ({"seed": 10**400}, ["seed"]),
        ({"schedule": {"learning_rate": 10**400}}, ["schedule", "learning_rate"]),
    ],
)
def test_a_wrong_field_is_named_by_the_path_that_the_caller_wrote(
    client: TestClient, changes: dict[str, Any], path: list[Any]
) -> None:
    answer = client.post("/v1/jobs", json=distillation_body(**changes))
    assert paths(answer) == [path]
    assert answer.json()["param"] == ".".join(map(str, path))


def test_a_missing_field_and_a_missing_kind_are_named(client: TestClient) -> None:
    body = distillation_body()
    del body["teacher"]
    assert paths(client.post("/v1/jobs", json=body)) == [["teacher"]]
    del body["kind"]
    assert paths(client.post("/v1/jobs", json=body)) == [[]]
    assert paths(client.post("/v1/jobs", json={"kind": "import_model", "model_id": "m"})) == [[]]


def test_an_answer_with_a_thousand_errors_names_fifty(client: TestClient) -> None:
    answer = client.post(
        "/v1/jobs",
        json=training_body(
            metadata={f"k{number}": 1 for number in range(30)}, **{f"x{n}": 1 for n in range(1000)}
        ),
    )
    assert len(paths(answer)) == 50


def test_a_broken_broker_fails_no_submission(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hinted: list[str] = []

    def hint(settings: Any, job_id: str) -> bool:
        hinted.append(job_id)
        return False

    monkeypatch.setattr(queue, "wake_workers", hint)
    answer = client.post("/v1/jobs", json=training_body())
    assert answer.status_code == 201
    assert hinted == [answer.json()["id"]]


def test_a_refused_job_is_not_hinted_at(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "wake_workers", lambda *_: pytest.fail("hinted"))
    assert client.post("/v1/jobs", json=distillation_body()).status_code == 422


def test_a_clone_is_the_stored_job_with_changes(client: TestClient) -> None:
    first = client.post(
        "/v1/jobs", json=training_body(name="first", metadata={"team": "a", "run": "1"})
    ).json()
    patch = {
        "name": None,
        "seed": 7,
        "metadata": {"run": "2"},
        "method": {"name": "pgd_at"},
        "schedule": {"epochs": 3},
    }
    answer = client.post(f"/v1/jobs/{first['id']}/clone", json=patch)
    assert answer.status_code == 201, answer.text
    spec = answer.json()["spec"]
    assert answer.json()["id"] != first["id"]
    assert (spec["name"], spec["seed"], spec["metadata"]) == (None, 7, {"team": "a", "run": "2"})
    assert spec["method"] == {"name": "pgd_at"}
    assert spec["schedule"] == {**first["spec"]["schedule"], "epochs": 3}


def test_a_clone_needs_no_body(client: TestClient) -> None:
    first = client.post("/v1/jobs", json=training_body()).json()
    assert client.post(f"/v1/jobs/{first['id']}/clone").json()["spec"] == first["spec"]


def test_a_clone_is_checked_like_a_submission(client: TestClient) -> None:
    first = client.post("/v1/jobs", json=training_body()).json()["id"]
    assert paths(client.post(f"/v1/jobs/{first}/clone", json={"schedule": {"epochs": 0}})) == [
        ["schedule", "epochs"]
    ]
    assert paths(client.post(f"/v1/jobs/{first}/clone", json={"data": {"dataset": "nowhere"}})) == [
        ["data", "dataset"]
    ]
    assert paths(client.post(f"/v1/jobs/{first}/clone", json={"data": None})) == [["data"]]


def test_what_decides_the_cost_raises_the_estimate(client: TestClient, engine: Engine) -> None:
    create_teacher(engine)

    def passes(**changes: Any) -> int:
        answer = client.post(
            "/v1/jobs", params={"dry_run": "true"}, json=distillation_body(**changes)
        )
        return int(answer.json()["estimate"]["network_passes"])

    assert passes(method={"name": "arkd", "adaptive": True}) > passes()
    assert passes(schedule={"epochs": 2, "batch_size": 64}) > passes()


@pytest.mark.parametrize(
    "name", ["radius_sweep", "variance_gap", "calibration", "transfer", "gradient_masking"]
)
def test_an_analysis_costs_passes_too(client: TestClient, engine: Engine, name: str) -> None:
    create_teacher(engine)
    passes = []
    for analyses in ([], [{"name": name}]):
        body = distillation_body(evaluation={"attacks": [], "analyses": analyses, "limit": 64})
        passes.append(
            client.post("/v1/jobs?dry_run=true", json=body).json()["estimate"]["network_passes"]
        )
    assert passes[1] - passes[0] >= 64 * 20
