import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from distill_client.main import app
from tests.client.fake import Answer, Fake, Request, as_json, ended, job, problem, stream

JOB, EVENTS = "GET /v1/jobs/job_1", "GET /v1/jobs/job_1/events"
FAILURE = {
    "code": "non_finite_loss",
    "class": "user",
    "message": "The loss became nan.",
    "retryable": False,
    "attempt": 1,
}


@pytest.fixture(autouse=True)
def address(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_URL", fake.url)
    monkeypatch.setenv("DISTILL_API_KEY", "dk_secret")


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("kind: distillation\nschedule: {learning_rate: 1e-1}\n")
    return path


def distill(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def page(*rows: dict[str, Any]) -> Answer:
    return as_json({"data": rows, "has_more": False, "next_cursor": None})


def test_submit_sends_the_file_with_its_changes(fake: Fake, job_file: Path) -> None:
    fake.on("POST /v1/jobs", as_json(job("queued", queue_position=1), 201))
    result = distill("submit", job_file, "--set", "teacher=mdl_1", "--set", "schedule.epochs=3")
    assert (result.exit_code, result.stdout) == (0, "job_1 is queued, number 1 in line.\n")
    assert fake.requests[0].json == {
        "kind": "distillation",
        "schedule": {"learning_rate": 0.1, "epochs": 3},
        "teacher": "mdl_1",
    }


def test_a_refused_job_is_said_by_its_fields_on_standard_error(fake: Fake, job_file: Path) -> None:
    errors = [
        {
            "path": ["schedule", "epochs"],
            "message": "Input should be less than or equal to 10000, not 10001.",
        }
    ]
    fake.on(
        "POST /v1/jobs",
        problem(422, "invalid_request", f"schedule.epochs: {errors[0]['message']}", errors),
    )
    result = distill("submit", job_file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        result.stderr
        == "schedule.epochs: Input should be less than or equal to 10000, not 10001.\n"
    )


def test_a_dry_run_submits_nothing(fake: Fake, job_file: Path) -> None:
    names = (
        "steps_per_epoch",
        "steps",
        "training_images",
        "held_out_images",
        "test_images",
        "network_passes",
    )
    estimate = dict.fromkeys(names, 7) | {"student_parameters": 1702, "checkpoint_bytes": 2**20}
    fake.on("POST /v1/jobs", as_json({"spec": {}, "dataset_id": "ds_digits", "estimate": estimate}))
    result = distill("submit", job_file, "--dry-run")
    assert result.exit_code == 0
    assert "1,702 parameters" in result.stdout
    assert fake.requests[0].query == {"dry_run": ["true"]}


def test_a_dry_run_of_an_evaluation_says_what_it_would_test_on_and_nothing_of_training(
    fake: Fake, tmp_path: Path
) -> None:
    path = tmp_path / "evaluation.yaml"
    path.write_text("kind: evaluation\nmodel: mdl_1\ndata: {dataset: digits}\n")
    estimate = {"steps": None, "steps_per_epoch": None, "test_images": 360, "network_passes": 9000}
    fake.on("POST /v1/jobs", as_json({"spec": {}, "dataset_id": "ds_digits", "estimate": estimate}))
    result = distill("submit", path, "--dry-run")
    assert result.exit_code == 0
    assert "360 to test on" in result.stdout
    assert "train" not in result.stdout
    assert "None" not in result.stdout


def test_an_evaluations_accuracies_are_percentages_and_its_other_numbers_are_as_they_are(
    fake: Fake,
) -> None:
    results = {
        "model": {
            "clean": 0.9314,
            "pgd": 0.7,
            "pgd_2": 0.5,
            "ece": 0.0421,
            "variance_gap_features": 31.79,
        }
    }
    fake.on(JOB, as_json(job("succeeded", kind="evaluation", results=results)))
    shown = distill("show", "job_1").stdout
    assert all(number in shown for number in ("93.14", "70.00", "50.00", "0.0421", "31.79"))
    assert "Variance gap of features            31.79 %" in shown
    assert "3179" not in shown
    assert "4.21" not in shown.replace("0.0421", "")
    fake.on(
        "GET /v1/jobs",
        as_json(
            {"data": [job("succeeded", kind="evaluation", results=results)], "has_more": False}
        ),
    )
    assert "93.14" in distill("jobs").stdout


def test_watching_a_job_that_succeeds_ends_with_0_and_its_accuracies(
    fake: Fake, job_file: Path
) -> None:
    fake.on("POST /v1/jobs", as_json(job("queued"), 201))
    done = job("succeeded", model_id="mdl_9", results={"best": {"clean": 0.9314, "pgd": 0.6742}})
    fake.on(JOB, as_json(job("queued")), as_json(done))
    fake.on(
        EVENTS,
        stream(
            job(phase="training"), job(phase="training", progress={"step": 1, "of": 9}), ended(4)
        ),
    )
    result = distill("submit", job_file, "--watch")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "job_1 succeeded; its student is mdl_9."
    assert result.stdout.splitlines()[-1].split() == ["best", "93.14", "67.42"]
    assert result.stderr.splitlines() == [
        "job_1 is submitted.",
        "job_1: queued",
        "job_1: training",
        "job_1: succeeded",
    ]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (job("failed", failure=FAILURE), "failed: The loss became nan. (non_finite_loss)"),
        (job("cancelled"), "cancelled."),
    ],
)
def test_watching_a_job_that_does_not_succeed_ends_with_1(
    fake: Fake, end: dict[str, Any], said: str
) -> None:
    fake.on(JOB, as_json(end))
    result = distill("watch", "job_1")
    assert (result.exit_code, result.stdout) == (1, f"job_1 {said}\n")


def test_no_service_ends_with_3_and_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISTILL_URL", "http://127.0.0.1:9")
    result = distill("jobs")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "http://127.0.0.1:9 cannot be reached" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "no-such-file.yaml"],
        ["datasets", "add", "name"],
        ["datasets", "add", "name", "--folder", "a", "--download", "cifar10"],
        ["datasets", "add", "name", "--folder", "a", "--every", "10", "--classes", __file__],
        ["up", "--port", "70000"],
        ["nonsense"],
    ],
)
def test_bad_usage_ends_with_2_and_asks_nothing(fake: Fake, arguments: list[str]) -> None:
    assert distill(*arguments).exit_code == 2
    assert fake.requests == []


def test_a_missing_key_is_explained(fake: Fake) -> None:
    fake.on(
        "GET /v1/jobs",
        problem(401, "unauthenticated", "This API key is unknown, expired or revoked."),
    )
    result = distill("jobs")
    assert result.exit_code == 2
    assert "DISTILL_API_KEY" in result.stderr


def test_jobs_are_listed_by_state_and_no_further_than_asked(fake: Fake) -> None:
    rows = [job(id=f"job_{n}", name="a\x1b[2Jb", results={"best": {"pgd": 0.5}}) for n in range(3)]
    fake.on("GET /v1/jobs", as_json({"data": rows, "has_more": True, "next_cursor": "more"}))
    result = distill("jobs", "--status", "running", "--status", "queued", "--limit", "2")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["id", "job_0", "job_1"]
    assert fake.requests[0].query["status"] == ["running", "queued"]
    assert len(fake.requests) == 1
    assert "\x1b" not in result.stdout, "a name must not steer the terminal"


def test_json_is_what_the_service_said(fake: Fake) -> None:
    fake.on(JOB, as_json(job("failed", failure=FAILURE, colour="blue")))
    found = json.loads(distill("show", "job_1", "--json").stdout)
    assert (found["failure"], found["colour"]) == (FAILURE, "blue")


def test_workers_are_listed_by_what_they_do_and_drained_by_name(fake: Fake) -> None:
    times = {"started_at": "2026-11-26T10:00:00.000Z", "seen_at": "2026-11-26T10:05:00.000Z"}
    row = {
        "version": "0.1.0",
        "protocol": 2,
        "slots": 2,
        "running": 1,
        "draining": False,
        "trouble": None,
        "alive": True,
    } | times
    rows = [
        {**row, "name": "gpu-1"},
        {**row, "name": "gpu-2", "draining": True},
        {**row, "name": "gpu-3", "alive": False},
    ]
    fake.on("GET /v1/workers", page(*rows, {**row, "name": "gpu-4", "trouble": "another schema"}))
    result = distill("workers")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [(line[0], line[3], line[4]) for line in lines] == [
        ("gpu-1", "1/2", "ready"),
        ("gpu-2", "1/2", "draining"),
        ("gpu-3", "1/2", "lost"),
        ("gpu-4", "1/2", "another"),
    ]
    for order, said in (
        ("drain", "gpu-1 drains; it has 1 of at most 2 jobs.\n"),
        ("undrain", "gpu-1 claims jobs again.\n"),
    ):
        fake.on(f"POST /v1/workers/gpu-1/{order}", as_json({**row, "name": "gpu-1"}, 202))
        assert distill("workers", order, "gpu-1").stdout == said


def test_a_new_keys_secret_is_all_that_standard_output_has(fake: Fake) -> None:
    row = {
        "id": "key_1",
        "name": "ci",
        "scopes": ["read"],
        "created_at": "2026-01-31T12:34:56.789Z",
    }
    fake.on("POST /v1/keys", as_json({**row, "secret": "dk_new"}, 201))
    result = distill("keys", "create", "ci", "--scope", "read", "--expires-in-days", "30")
    assert result.stdout == "dk_new\n"
    assert fake.requests[0].json == {"name": "ci", "scopes": ["read"], "expires_in_days": 30}


def test_a_key_whose_secret_was_lost_on_the_way_is_an_error(fake: Fake) -> None:
    row = {
        "id": "key_1",
        "name": "ci",
        "scopes": ["read"],
        "created_at": "2026-01-31T12:34:56.789Z",
    }
    fake.on("POST /v1/keys", as_json({**row, "secret": None}, 201))
    result = distill("keys", "create", "ci")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "revoke it" in result.stderr


def test_a_new_projects_first_key_is_all_that_standard_output_has(fake: Fake) -> None:
    key = {
        "id": "key_1",
        "name": "first",
        "scopes": ["admin"],
        "created_at": "2026-01-31T12:34:56.789Z",
        "secret": "dk_new",
    }
    row = {"id": "prj_1", "name": "vision", "created_at": "2026-01-31T12:34:56.789Z"}
    fake.on("POST /v1/projects", as_json({**row, "key": key}, 201))
    fake.on("GET /v1/projects", as_json({"data": [row], "has_more": False, "next_cursor": None}))
    assert distill("projects", "create", "vision").stdout == "dk_new\n"
    assert "vision" in distill("projects", "list").stdout


def test_the_audit_log_is_shown_as_it_was_filtered(fake: Fake) -> None:
    line = {
        "id": "aud_1",
        "at": "2026-01-31T12:34:56.789Z",
        "action": "GET /v1/jobs",
        "status": 401,
        "code": "unauthenticated",
        "request_id": "req_1",
        "times": 512,
    }
    fake.on("GET /v1/audit", as_json({"data": [line] * 3, "has_more": False, "next_cursor": None}))
    shown = distill("audit", "--action", "GET /v1/jobs", "--limit", "2").stdout
    assert shown.count("unauthenticated") == 2
    assert "512" in shown
    assert fake.requests[0].query == {"action": ["GET /v1/jobs"], "limit": ["100"]}


def test_a_model_is_uploaded_with_its_networks_settings(fake: Fake, tmp_path: Path) -> None:
    def named(request: Request) -> Answer:
        body = request.json
        return as_json({**row, "name": body["name"], "description": {}}, 201)

    row = {
        "id": "mdl_1",
        "architecture": "small_cnn",
        "status": "awaiting_upload",
        "created_at": "2026-01-31T12:34:56.789Z",
    }
    ready = {**row, "name": "w8", "description": {}, "status": "ready"}
    fake.on("POST /v1/models", named)
    fake.on("PUT /v1/models/mdl_1/content", as_json(ready, 202))
    fake.on("GET /v1/models/mdl_1", as_json(ready))
    (tmp_path / "w8.safetensors").write_bytes(b"weights")
    options = ("--architecture", "small_cnn", "--width", "8", "--channels", "1", "--size", "8")
    result = distill("models", "upload", tmp_path / "w8.safetensors", *options)
    assert (result.exit_code, result.stdout) == (0, "mdl_1 w8 is ready.\n")
    body = fake.requests[0].json
    assert body["network"] == {"architecture": "small_cnn", "width": 8}
    assert (body["name"], body["classes"], body["channels"], body["height"], body["width"]) == (
        "w8",
        10,
        1,
        8,
        8,
    )


def test_any_setting_of_the_architecture_can_be_given_and_the_images_have_its_size(
    fake: Fake, tmp_path: Path
) -> None:
    row = {
        "id": "mdl_1",
        "architecture": "vit_b",
        "name": "v",
        "description": {},
        "created_at": "2026-01-31T12:34:56.789Z",
    }
    fake.on("POST /v1/models", as_json({**row, "status": "awaiting_upload"}, 201))
    fake.on("PUT /v1/models/mdl_1/content", as_json({**row, "status": "ready"}, 202))
    fake.on("GET /v1/models/mdl_1", as_json({**row, "status": "ready"}))
    (tmp_path / "v.pt").write_bytes(b"weights")
    settings = (
        "--set",
        "image_size=64",
        "--set",
        "patch_size=8",
        "--set",
        "normalization=inception",
    )
    assert (
        distill(
            "models", "upload", tmp_path / "v.pt", "--architecture", "vit_b", *settings
        ).exit_code
        == 0
    )
    body = fake.requests[0].json
    assert body["network"] == {
        "architecture": "vit_b",
        "image_size": 64,
        "patch_size": 8,
        "normalization": "inception",
    }
    assert (body["height"], body["width"]) == (64, 64)
    result = distill(
        "models", "upload", tmp_path / "v.pt", "--architecture", "vit_b", "--set", "patch_size"
    )
    assert result.exit_code == 2
    assert "is no change such as" in result.stderr


def test_catalogues_are_listed(fake: Fake) -> None:
    fake.on(
        "GET /v1/methods",
        page({"name": "arkd", "kind": "distillation", "summary": "Predictions matched."}),
    )
    small = {"name": "small_cnn", "title": "Small CNN", "channels": [1, 3], "smallest_side": 8}
    fake.on("GET /v1/architectures", page(small))
    assert "Predictions matched." in distill("methods").stdout
    assert "1 or 3" in distill("architectures").stdout
    assert all(request.query == {} for request in fake.requests)


# -- as a process


def test_ctrl_c_while_watching_leaves_the_job_alone_and_says_so(fake: Fake) -> None:
    released = threading.Event()

    def until_released(_: Request) -> Answer:
        released.wait(20)
        return stream()

    fake.on(JOB, as_json(job()))
    fake.on(EVENTS, until_released)
    command = [sys.executable, "-m", "distill_client.main", "watch", "job_1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while not fake.asked(EVENTS) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        released.set()
        process.kill()
    assert process.returncode == 130
    assert "job_1 goes on" in errors
    assert "Traceback" not in errors
    assert [request.method for request in fake.requests] == ["GET"] * len(fake.requests)


def test_the_client_stands_alone() -> None:
    """No torch, no database, no web framework, and nothing of the service but its spec."""
    code = "import sys, distill_client, distill_client.main; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    heavy = {
        "torch",
        "numpy",
        "sqlalchemy",
        "fastapi",
        "celery",
        "obstore",
        "api",
        "worker",
        "embedded",
    }
    assert loaded & heavy == set()
    ours = {name for name in loaded if name.startswith("core.")}
    assert all(name.startswith("core.jobspec") for name in ours), ours


def test_up_becomes_the_embedded_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(
        os, "execv", lambda program, arguments: became.append([program, *arguments])
    )
    distill("up", "--port", "9000", "--data", tmp_path, "--device", "cpu")
    python = sys.executable
    options = ["--port", "9000", "--data", str(tmp_path), "--device", "cpu"]
    assert became == [[python, python, "-P", "-m", "embedded", *options]]


@pytest.mark.parametrize(
    ("line", "module", "options"),
    [
        ("backup saved --data data", "embedded.backup", "save saved --data data"),
        ("restore saved --data data", "embedded.backup", "restore saved --data data"),
        ("storage gc --dry-run --json", "core.store.commands.storage", "gc --dry-run --json"),
        ("storage verify --data data", "core.store.commands.storage", "verify --data data"),
    ],
)
def test_commands_on_the_services_own_machine_become_the_services_own(
    monkeypatch: pytest.MonkeyPatch, line: str, module: str, options: str
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(
        os, "execv", lambda program, arguments: became.append([program, *arguments])
    )
    assert distill(*line.split()).exit_code == 0
    assert became == [[sys.executable, sys.executable, "-P", "-m", module, *options.split()]]


def test_a_restore_is_told_where_to(fake: Fake) -> None:
    assert distill("restore", "saved").exit_code == 2


MODEL = {
    "id": "mdl_1",
    "name": "mine",
    "status": "ready",
    "architecture": "resnet18",
    "description": {},
}
MODEL |= {"created_at": "2026-01-31T12:34:56.789Z"}


def test_what_is_deleted_is_said_with_the_command_that_brings_it_back(fake: Fake) -> None:
    dataset = {**MODEL, "id": "ds_1", "source": "upload"}
    fake.on("DELETE /v1/jobs/job_1", as_json(job("succeeded")))
    fake.on("POST /v1/jobs/job_1/restore", as_json(job("succeeded")))
    fake.on("DELETE /v1/models/mine", as_json(MODEL))
    fake.on("POST /v1/models/mdl_1/restore", as_json(MODEL))
    fake.on("DELETE /v1/datasets/mine", as_json(dataset))
    fake.on("POST /v1/datasets/ds_1/restore", as_json(dataset))
    for command, reference in (([], "job_1"), (["models"], "mine"), (["datasets"], "mine")):
        deleted = distill(*command, "delete", reference)
        assert deleted.exit_code == 0, deleted.stderr
        undo = deleted.stdout.split("`")[1].split()
        assert undo[0] == "distill"
        assert distill(*undo[1:]).stdout.endswith(" is back.\n")
    assert len(fake.requests) == 6


def test_what_is_needed_is_not_deleted_and_the_reason_is_said(fake: Fake) -> None:
    fake.on(
        "DELETE /v1/models/mine",
        problem(409, "in_use", "Model 'mine' is needed by job job_1, which has not ended."),
    )
    refused = distill("models", "delete", "mine")
    assert (refused.exit_code, "job_1" in refused.stderr) == (2, True)


PICTURES = {
    "id": "ds_1",
    "name": "pictures",
    "source": "upload",
    "created_at": "2026-01-31T12:34:56.789Z",
}


def test_how_a_data_set_is_to_be_read_is_said_when_it_is_named(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "birds.zip").write_bytes(b"PK")
    (tmp_path / "classes.txt").write_text("wren\n\n  great tit \nowl")
    fake.on("POST /v1/datasets", as_json(PICTURES | {"status": "awaiting_upload"}, 201))
    fake.on("PUT /v1/datasets/ds_1/content", as_json(PICTURES | {"status": "importing"}, 202))
    fake.on("GET /v1/datasets/ds_1", as_json(PICTURES | {"status": "importing"}))
    wanted = ["--image-size", "224", "--classes", tmp_path / "classes.txt"]
    result = distill("datasets", "add", "pictures", tmp_path / "birds.zip", *wanted)
    assert (result.exit_code, result.stdout) == (0, "ds_1 pictures is importing.\n")
    body = fake.requests[0].json
    assert (body["image_size"], body["classes"], body["every"]) == (
        224,
        ["wren", "great tit", "owl"],
        None,
    )


def test_every_nth_class_of_the_operators_folder_is_asked_for(fake: Fake) -> None:
    fake.on("POST /v1/datasets", as_json(PICTURES | {"status": "importing"}, 201))
    assert (
        distill(
            "datasets",
            "add",
            "in100",
            "--folder",
            "imagenet",
            "--every",
            "10",
            "--image-size",
            "224",
        ).exit_code
        == 0
    )
    wanted = {"image_size": 224, "classes": None, "every": 10}
    assert fake.requests[0].json == {
        "name": "in100",
        "folder": "imagenet",
        "download": None,
        **wanted,
    }


def test_an_upload_that_was_named_with_other_classes_is_not_taken_up(
    fake: Fake, tmp_path: Path
) -> None:
    (tmp_path / "birds.zip").write_bytes(b"PK")
    there = PICTURES | {
        "status": "awaiting_upload",
        "sha256": hashlib.sha256(b"PK").hexdigest(),
        "every": 10,
    }
    fake.on(
        "POST /v1/datasets",
        problem(409, "name_taken", "There already is a data set named 'pictures'."),
    )
    fake.on("GET /v1/datasets/pictures", as_json(there))
    result = distill("datasets", "add", "pictures", tmp_path / "birds.zip")
    assert result.exit_code == 2
    assert "already" in result.stderr


def test_a_list_of_classes_that_is_no_text_is_bad_usage(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe")
    result = distill(
        "datasets", "add", "in100", "--folder", "imagenet", "--classes", tmp_path / "classes.txt"
    )
    assert (result.exit_code, "not UTF-8" in result.stderr) == (2, True)
    assert fake.requests == []
