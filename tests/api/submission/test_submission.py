"""POST /v1/jobs and its dry run: what is queued, what is refused, and why."""

import copy
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from core import queue
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow
from core.store.registry import datasets, models
from tests.api.builders import create_ready_dataset
from tests.api.conftest import STRANGER
from tests.builders import (
    create_attempt,
    create_job,
    create_teacher,
    distillation_body,
    model_description,
    training_body,
)


def paths(response: Any) -> list[list[str | int]]:
    assert response.status_code == 422, response.text
    return [error["path"] for error in response.json()["errors"]]


def count(client: TestClient) -> int:
    return int(client.get("/v1/jobs", params={"include_total": "true"}).json()["total"])


def test_submitted_job_is_queued_with_resolved_defaults(client: TestClient) -> None:
    response = client.post(
        "/v1/jobs",
        json={
            "kind": "adversarial_training",
            "student": {"architecture": "small_cnn"},
            "data": {"dataset": "digits"},
        },
    )
    assert response.status_code == 201
    job = response.json()
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
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
    assert client.get(response.headers["Location"]).json() == job


def test_radius_may_be_a_fraction(client: TestClient) -> None:
    response = client.post(
        "/v1/jobs", json=training_body(adversary={"name": "pgd", "radius": "4/255"})
    )
    assert response.json()["spec"]["adversary"]["radius"] == pytest.approx(4 / 255)


def test_dry_run_returns_resolved_spec_and_estimate(
    client: TestClient,
) -> None:
    """It stores nothing."""
    response = client.post("/v1/jobs", params={"dry_run": "true"}, json=training_body())
    assert response.status_code == 200
    result = response.json()
    assert result["dataset_id"] == DIGITS_ID
    assert result["spec"]["evaluation"]["attacks"][0]["step_size"] == pytest.approx(0.025)
    # Of 256 images a tenth is held out: 230 make 3 batches of 64. The evaluation has 64 images.
    assert result["estimate"]["steps"] == 3
    assert (result["estimate"]["training_images"], result["estimate"]["held_out_images"]) == (
        230,
        26,
    )
    # TRADES: 2 steps + 3 passes on 3 * 64 images; PGD-10 on 26 held-out images; clean and PGD-2
    # on 64 test images, for two networks, and the gradient checks for the better one.
    assert result["estimate"]["network_passes"] == 5 * 192 + 12 * 26 + 2 * 64 * 4 + 64
    assert count(client) == 0


def test_dry_run_refuses_what_a_submission_refuses(client: TestClient) -> None:
    assert paths(client.post("/v1/jobs", params={"dry_run": "true"}, json=distillation_body())) == [
        ["teacher"]
    ]


def test_estimate_has_the_size_of_the_student(client: TestClient, engine: Engine) -> None:
    create_ready_dataset(engine, "color", train_images=1000)
    body = training_body(student={"architecture": "resnet18"}, data={"dataset": "color"})
    estimate = client.post("/v1/jobs", params={"dry_run": "true"}, json=body).json()["estimate"]
    assert estimate["student_parameters"] == 11_168_832 + 513 * 3
    assert estimate["checkpoint_bytes"] == estimate["student_parameters"] * 12


def test_inputs_are_named_by_id_name_or_job(client: TestClient, engine: Engine) -> None:
    """The data set by id or name, the teacher by id, name or the job that trained it."""
    teacher = create_teacher(engine)
    finished = create_attempt(engine)
    with finished.fenced_session() as (session, job):
        student = models.publish(
            session, job, model_description(), object_key="k", size=1, sha256="0" * 64
        )
        from core.store import attempts

        attempts.succeed(session, job, model_id=student.id)
    data = {"dataset": DIGITS_ID, "limit": 256}
    for reference, teacher_id in (
        ("teacher", teacher.id),
        (teacher.id, teacher.id),
        (finished.job_id, student.id),
    ):
        response = client.post("/v1/jobs", json=distillation_body(teacher=reference, data=data))
        assert (response.status_code, response.json().get("teacher_id")) == (201, teacher_id)


def test_unknown_data_set_and_teacher_are_both_errors(client: TestClient) -> None:
    response = client.post("/v1/jobs", json=distillation_body(data={"dataset": "nowhere"}))
    assert paths(response) == [["data", "dataset"], ["teacher"]]
    assert "nowhere" in response.json()["errors"][0]["message"]
    assert response.json()["code"] == "job_cannot_run"


def test_inputs_that_are_not_ready_are_refused(client: TestClient, engine: Engine) -> None:
    with write_session(engine) as session:
        datasets.create(session, DEFAULT_PROJECT, "coming", "upload", status="awaiting_upload")
        models.create(session, DEFAULT_PROJECT, "half", model_description())
    response = client.post(
        "/v1/jobs", json=distillation_body(teacher="half", data={"dataset": "coming"})
    )
    assert paths(response) == [["data", "dataset"], ["teacher"]]
    assert "awaiting upload" in response.json()["errors"][0]["message"]
    assert "importing" in response.json()["errors"][1]["message"]


def test_teacher_of_another_project_is_unknown(client: TestClient, engine: Engine) -> None:
    create_teacher(engine, project_id=STRANGER)
    assert paths(client.post("/v1/jobs", json=distillation_body())) == [["teacher"]]


def test_job_without_a_student_is_no_teacher(client: TestClient, engine: Engine) -> None:
    response = client.post("/v1/jobs", json=distillation_body(teacher=create_job(engine).id))
    assert paths(response) == [["teacher"]]
    assert "queued" in response.json()["detail"]


def test_all_parts_that_do_not_fit_are_errors(client: TestClient, engine: Engine) -> None:
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
def test_error_has_the_path_of_the_field_in_the_body(
    client: TestClient, changes: dict[str, Any], path: list[Any]
) -> None:
    response = client.post("/v1/jobs", json=distillation_body(**changes))
    assert paths(response) == [path]
    assert response.json()["param"] == ".".join(map(str, path))


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (0, "Must be at least 1, not 0."),
        (1001, "Must be at most 1000, not 1001."),
        ("ten", "Must be a valid integer, not 'ten'."),
        ([], "Must be a valid integer."),
    ],
)
def test_error_says_what_would_be_right(client: TestClient, steps: Any, sentence: str) -> None:
    body = training_body(adversary={"name": "pgd", "steps": steps})
    errors = client.post("/v1/jobs", json=body).json()["errors"]
    assert errors == [{"path": ["adversary", "steps"], "message": sentence}]


def test_missing_field_and_missing_kind_are_errors(client: TestClient) -> None:
    body = distillation_body()
    del body["teacher"]
    assert paths(client.post("/v1/jobs", json=body)) == [["teacher"]]
    del body["kind"]
    assert paths(client.post("/v1/jobs", json=body)) == [[]]
    assert paths(client.post("/v1/jobs", json={"kind": "import_model", "model_id": "m"})) == [[]]


def test_at_most_fifty_errors_are_reported(client: TestClient) -> None:
    response = client.post(
        "/v1/jobs",
        json=training_body(
            metadata={f"k{number}": 1 for number in range(30)}, **{f"x{n}": 1 for n in range(1000)}
        ),
    )
    assert len(paths(response)) == 50


def test_unreachable_broker_fails_no_submission(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []

    def wake_workers(settings: Any, job_id: str) -> bool:
        woken.append(job_id)
        return False

    monkeypatch.setattr(queue, "wake_workers", wake_workers)
    response = client.post("/v1/jobs", json=training_body())
    assert response.status_code == 201
    assert woken == [response.json()["id"]]


def test_refused_job_wakes_no_worker(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "wake_workers", lambda *_: pytest.fail("woken"))
    assert client.post("/v1/jobs", json=distillation_body()).status_code == 422


def test_clone_is_the_stored_job_with_changes(client: TestClient) -> None:
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
    response = client.post(f"/v1/jobs/{first['id']}/clone", json=patch)
    assert response.status_code == 201, response.text
    spec = response.json()["spec"]
    assert response.json()["id"] != first["id"]
    assert (spec["name"], spec["seed"], spec["metadata"]) == (None, 7, {"team": "a", "run": "2"})
    assert spec["method"] == {"name": "pgd_at", "statistics_passes": False}
    assert spec["schedule"] == {**first["spec"]["schedule"], "epochs": 3}


def test_clone_needs_no_body(client: TestClient) -> None:
    first = client.post("/v1/jobs", json=training_body()).json()
    assert client.post(f"/v1/jobs/{first['id']}/clone").json()["spec"] == first["spec"]


def test_clone_of_an_earlier_releases_job_does_the_same(client: TestClient, engine: Engine) -> None:
    """A field that its stored spec lacks gets the default, not what the preset says today."""
    create_teacher(engine)
    body = distillation_body(
        preset="reference", method={"name": "ard"}, schedule={"epochs": 101, "batch_size": 64}
    )
    first = client.post("/v1/jobs", json=body).json()
    assert first["spec"]["method"]["statistics_passes"] is True
    stored = copy.deepcopy(first["spec"])
    del stored["method"]["statistics_passes"]
    with write_session(engine) as session:
        session.execute(update(JobRow).where(JobRow.id == first["id"]).values(spec=stored))
    clone = client.post(f"/v1/jobs/{first['id']}/clone", json={"seed": 5}).json()["spec"]
    assert clone["method"] == {**stored["method"], "statistics_passes": False}
    assert (clone["seed"], clone["adversary"]) == (5, stored["adversary"])


def test_preset_is_completed_by_the_data_sets_classes(client: TestClient, engine: Engine) -> None:
    """On 100 classes ARD's batches have 256 images, and that many are needed for one."""
    create_teacher(engine, classes=100, channels=3, height=32, width=32)
    for name, train_images in (("many", 1000), ("few", 200)):
        create_ready_dataset(
            engine, name=name, classes=100, train_images=train_images, test_images=100
        )
    body = distillation_body(preset="reference", method={"name": "ard"}, schedule={"epochs": 101})
    spec = client.post("/v1/jobs", json={**body, "data": {"dataset": "many"}}).json()["spec"]
    assert spec["schedule"]["batch_size"] == 256
    refused = client.post("/v1/jobs", json={**body, "data": {"dataset": "few"}})
    assert paths(refused) == [["schedule", "batch_size"]]
    assert "A batch of 256 is larger" in refused.json()["detail"]


def test_clone_is_validated_like_a_submission(client: TestClient) -> None:
    first = client.post("/v1/jobs", json=training_body()).json()["id"]
    assert paths(client.post(f"/v1/jobs/{first}/clone", json={"schedule": {"epochs": 0}})) == [
        ["schedule", "epochs"]
    ]
    assert paths(client.post(f"/v1/jobs/{first}/clone", json={"data": {"dataset": "nowhere"}})) == [
        ["data", "dataset"]
    ]
    assert paths(client.post(f"/v1/jobs/{first}/clone", json={"data": None})) == [["data"]]


def test_estimate_grows_with_method_and_schedule(client: TestClient, engine: Engine) -> None:
    create_teacher(engine)

    def passes(**changes: Any) -> int:
        response = client.post(
            "/v1/jobs", params={"dry_run": "true"}, json=distillation_body(**changes)
        )
        return int(response.json()["estimate"]["network_passes"])

    assert passes(method={"name": "arkd", "adaptive": True}) > passes()
    assert passes(schedule={"epochs": 2, "batch_size": 64}) > passes()


@pytest.mark.parametrize(
    "name", ["radius_sweep", "variance_gap", "calibration", "transfer", "gradient_masking"]
)
def test_analyses_add_to_the_estimate(client: TestClient, engine: Engine, name: str) -> None:
    create_teacher(engine)
    passes = []
    for analyses in ([], [{"name": name}]):
        body = distillation_body(evaluation={"attacks": [], "analyses": analyses, "limit": 64})
        passes.append(
            client.post("/v1/jobs?dry_run=true", json=body).json()["estimate"]["network_passes"]
        )
    assert passes[1] - passes[0] >= 64 * 20
