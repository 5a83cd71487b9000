"""``distill submit``, ``jobs``, ``show`` and ``watch``."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.client.commands.runner import distill
from tests.client.fake_server import (
    FakeResponse,
    FakeServer,
    Request,
    event_stream,
    final_event,
    job,
    json_response,
    page_response,
    problem_response,
)

JOB = "GET /v1/jobs/job_1"
EVENTS = "GET /v1/jobs/job_1/events"
FAILURE = {
    "code": "non_finite_loss",
    "class": "user",
    "message": "The loss became nan.",
    "advice": "Lower the learning rate.",
    "retryable": False,
    "attempt": 1,
}


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("kind: distillation\nschedule: {learning_rate: 1e-1}\n")
    return path


def test_submit_sends_the_changed_file(server: FakeServer, job_file: Path) -> None:
    server.respond("POST /v1/jobs", json_response(job("queued", queue_position=1), 201))
    result = distill("submit", job_file, "--set", "teacher=mdl_1", "--set", "schedule.epochs=3")
    assert (result.exit_code, result.stdout) == (0, "job_1 is queued, number 1 in line.\n")
    assert server.requests[0].json == {
        "kind": "distillation",
        "schedule": {"learning_rate": 0.1, "epochs": 3},
        "teacher": "mdl_1",
    }


def test_refused_job_prints_its_invalid_fields(server: FakeServer, job_file: Path) -> None:
    message = "Input should be less than or equal to 10000, not 10001."
    errors = [{"path": ["schedule", "epochs"], "message": message}]
    detail = f"schedule.epochs: {message}"
    server.respond("POST /v1/jobs", problem_response(422, "invalid_request", detail, errors))
    result = distill("submit", job_file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"schedule.epochs: {message}\n"


def test_dry_run_submits_nothing(server: FakeServer, job_file: Path) -> None:
    names = (
        "steps_per_epoch",
        "steps",
        "training_images",
        "held_out_images",
        "test_images",
        "network_passes",
    )
    estimate = dict.fromkeys(names, 7) | {"student_parameters": 1702, "checkpoint_bytes": 2**20}
    body = {"spec": {}, "dataset_id": "ds_digits", "estimate": estimate}
    server.respond("POST /v1/jobs", json_response(body))
    result = distill("submit", job_file, "--dry-run")
    assert result.exit_code == 0
    assert "1,702 parameters" in result.stdout
    assert server.requests[0].query == {"dry_run": ["true"]}


def test_dry_run_shows_minutes_and_gib(server: FakeServer, job_file: Path) -> None:
    """It asks again until a worker has worked out the memory."""
    queue = {"position": 1, "workers": 1, "sentence": "It would start at once."}
    time = {"device": {"kind": "cuda", "name": "H200"}, "sentence": "About 12 min on H200."}
    pending = {"status": "pending", "sentence": "It is being worked out."}
    known = {"status": "known", "bytes": 3 * 2**30, "sentence": "About 3.0 GiB; fits no worker."}
    for memory, warnings in ((pending, []), (known, ["Memory: it fits no worker."])):
        estimate = {"test_images": 7, "network_passes": 7, "time": [time], "memory": memory}
        body = {"spec": {}, "dataset_id": "ds_digits", "estimate": {**estimate, "queue": queue}}
        server.respond("POST /v1/jobs", json_response({**body, "warnings": warnings}))
    result = distill("submit", job_file, "--dry-run")
    assert result.exit_code == 0
    for text in ("About 12 min on H200.", "About 3.0 GiB", "It would start at once."):
        assert text in result.stdout
    assert "warning: Memory: it fits no worker.\n" in result.stdout
    assert "being worked out" not in result.stdout


def test_dry_run_does_not_wait_without_workers(server: FakeServer, job_file: Path) -> None:
    estimate = {
        "test_images": 7,
        "network_passes": 7,
        "memory": {"status": "pending", "sentence": "No worker is alive."},
        "queue": {"position": 1, "workers": 0, "sentence": "No worker claims jobs."},
    }
    body = {"spec": {}, "dataset_id": "ds_digits", "estimate": estimate}
    server.respond("POST /v1/jobs", json_response(body))
    assert "No worker is alive." in distill("submit", job_file, "--dry-run").stdout
    assert len(server.requests) == 1


def test_dry_run_of_an_evaluation_omits_training(server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.yaml"
    path.write_text("kind: evaluation\nmodel: mdl_1\ndata: {dataset: digits}\n")
    estimate = {"steps": None, "steps_per_epoch": None, "test_images": 360, "network_passes": 9000}
    body = {"spec": {}, "dataset_id": "ds_digits", "estimate": estimate}
    server.respond("POST /v1/jobs", json_response(body))
    result = distill("submit", path, "--dry-run")
    assert result.exit_code == 0
    assert "360 to test on" in result.stdout
    assert "train" not in result.stdout
    assert "None" not in result.stdout


def test_only_accuracies_are_percentages(server: FakeServer) -> None:
    """Other numbers of an evaluation have units of their own."""
    results = {
        "model": {
            "clean": 0.9314,
            "pgd-20@linf:8/255": 0.7,
            "pgd-20@linf:4/255": 0.5,
            "autoattack@l2:0.5": 0.4321,
            "ece": 0.0421,
            "variance_gap_features@linf:8/255": 31.79,
        }
    }
    evaluation = job("succeeded", kind="evaluation", results=results)
    server.respond(JOB, json_response(evaluation))
    lines = distill("show", "job_1").stdout.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.startswith("accuracy %"))
    assert [" ".join(line.split()) for line in lines[heading:]] == [
        "accuracy % model",
        "Clean 93.14",
        "PGD-20, L∞, 8/255 70.00",
        "PGD-20, L∞, 4/255 50.00",
        "AutoAttack, L2, 0.5 43.21",
        "",
        "model",
        "Expected calibration error, clean 0.0421",
        "Variance gap of features under PGD-20, L∞, 8/255 31.79 %",
    ]


def test_show_has_a_line_for_each_measure(server: FakeServer) -> None:
    """A network without a number has an empty place in its column."""
    best = {"held_out_pgd-10@linf:8/255": 0.61, "clean": 0.93, "cw-30@linf:8/255": 0.5}
    results = {"best": best, "last": {"clean": 0.95, "cw-30@linf:8/255": 0.25}}
    server.respond(JOB, json_response(job("succeeded", results=results)))
    lines = distill("show", "job_1").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines[-4:]] == [
        "accuracy % best last",
        "Held-out PGD-10, L∞, 8/255 61.00",
        "Clean 93.00 95.00",
        "CW-30, L∞, 8/255 50.00 25.00",
    ]


WARNING = {
    "code": "export_failed",
    "message": "student.onnx could not be made.",
    "at": "2026-01-31T12:00:00.000Z",
}


def test_show_lists_the_warnings(server: FakeServer) -> None:
    server.respond(JOB, json_response(job("succeeded", warnings=[WARNING])))
    lines = distill("show", "job_1").stdout.splitlines()
    assert lines[-1] == "warning: student.onnx could not be made. (export_failed)"


def test_watch_prints_each_warning_once_as_it_comes(server: FakeServer) -> None:
    second = {**WARNING, "message": "student.pt2 could not be made."}
    updates = [
        job(phase="exporting"),
        job(phase="exporting", warnings=[WARNING]),
        job(phase="exporting", warnings=[WARNING, second]),
    ]
    succeeded = job("succeeded", warnings=[WARNING, second])
    server.respond(JOB, json_response(job("queued")), json_response(succeeded))
    server.respond(EVENTS, event_stream(*updates, final_event(4)))
    assert distill("watch", "job_1").stderr.splitlines() == [
        "job_1: queued",
        "job_1: exporting",
        "job_1: warning: student.onnx could not be made.",
        "job_1: warning: student.pt2 could not be made.",
        "job_1: succeeded",
    ]


@pytest.mark.parametrize(
    ("results", "deciding", "robustness"),
    [
        (
            {"best": {"clean": 0.9, "pgd-20@linf:0.1": 0.4, "cw-30@linf:0.1": 0.5}},
            ["cw-30@linf:0.1"],
            "50.00 (CW-30, L∞, 0.1)",
        ),
        (
            {"model": {"autoattack@l2:0.5": 0.4321, "pgd-20@linf:8/255": 0.3}},
            ["autoattack@l2:0.5", "pgd-20@linf:8/255"],
            "43.21 (AutoAttack, L2, 0.5)",
        ),
        ({"best": {"clean": 0.9, "transfer@linf:8/255": 0.6}}, [], ""),
        (None, [], ""),
    ],
)
def test_list_names_the_threat_model_of_its_accuracy(
    server: FakeServer,
    results: dict[str, dict[str, float]] | None,
    deciding: list[str],
    robustness: str,
) -> None:
    """It is that which decides, as the service says."""
    row = job("succeeded", name="last", results=results, deciding=deciding)
    server.respond("GET /v1/jobs", page_response(row))
    heading, line = distill("jobs").stdout.splitlines()
    begin = heading.index("robust %")
    end = heading.index("created (UTC)")
    assert line[begin:end].rstrip() == robustness


def test_jobs_are_counted_by_status(server: FakeServer) -> None:
    counts = {"total": 3, "statuses": {"queued": 1, "running": 2, "failed": 0}}
    server.respond("GET /v1/job-counts", json_response(counts))
    result = distill("jobs", "--count", "--status=queued", "--status=running", "--method=ard")
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["queued", "1"],
        ["running", "2"],
        ["all", "3"],
    ]
    assert server.requests[0].query == {"status": ["queued", "running"], "method": ["ard"]}
    assert json.loads(distill("jobs", "--count", "--json").stdout) == counts


def test_deleted_jobs_are_listed(server: FakeServer) -> None:
    server.respond("GET /v1/jobs", page_response(job("succeeded", name="old")))
    assert "job_1" in distill("jobs", "--deleted", "--sort=-finished_at").stdout
    query = server.requests[0].query
    assert (query["deleted"], query["sort"]) == (["true"], ["-finished_at"])


def test_watching_a_successful_job_exits_with_0(server: FakeServer, job_file: Path) -> None:
    """It prints the accuracies."""
    server.respond("POST /v1/jobs", json_response(job("queued"), 201))
    results = {"best": {"clean": 0.9314, "pgd-20@linf:8/255": 0.6742}}
    succeeded = job("succeeded", model_id="mdl_9", results=results)
    server.respond(JOB, json_response(job("queued")), json_response(succeeded))
    training = job(phase="training")
    progress = job(phase="training", progress={"step": 1, "of": 9})
    server.respond(EVENTS, event_stream(training, progress, final_event(4)))
    result = distill("submit", job_file, "--watch")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "job_1 succeeded; its student is mdl_9."
    assert [" ".join(line.split()) for line in result.stdout.splitlines()[1:]] == [
        "accuracy % best",
        "Clean 93.14",
        "PGD-20, L∞, 8/255 67.42",
    ]
    assert result.stderr.splitlines() == [
        "job_1 is submitted.",
        "job_1: queued",
        "job_1: training",
        "job_1: succeeded",
    ]


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (job("failed", failure=FAILURE), "failed: The loss became nan. (non_finite_loss)"),
        (job("cancelled"), "cancelled."),
    ],
)
def test_watching_an_unsuccessful_job_exits_with_1(
    server: FakeServer, response: dict[str, Any], outcome: str
) -> None:
    server.respond(JOB, json_response(response))
    result = distill("watch", "job_1")
    assert (result.exit_code, result.stdout) == (1, f"job_1 {outcome}\n")


def test_jobs_are_listed_by_status_up_to_the_limit(server: FakeServer) -> None:
    results = {"best": {"pgd-20@linf:8/255": 0.5}}
    rows = [job(id=f"job_{number}", name="a\x1b[2Jb", results=results) for number in range(3)]
    server.respond("GET /v1/jobs", page_response(*rows, next_cursor="more"))
    result = distill("jobs", "--status", "running", "--status", "queued", "--limit", "2")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["id", "job_0", "job_1"]
    assert server.requests[0].query["status"] == ["running", "queued"]
    assert len(server.requests) == 1
    assert "\x1b" not in result.stdout, "a name must not control the terminal"


def test_json_is_the_response_of_the_service(server: FakeServer) -> None:
    server.respond(JOB, json_response(job("failed", failure=FAILURE, color="blue")))
    output = json.loads(distill("show", "job_1", "--json").stdout)
    assert (output["failure"], output["color"]) == (FAILURE, "blue")


def test_ctrl_c_while_watching_leaves_the_job_alone(server: FakeServer) -> None:
    released = threading.Event()

    def wait_for_release(_: Request) -> FakeResponse:
        released.wait(20)
        return event_stream()

    server.respond(JOB, json_response(job()))
    server.respond(EVENTS, wait_for_release)
    command = [sys.executable, "-m", "distill_client.main", "watch", "job_1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while not server.requests_to(EVENTS) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        released.set()
        process.kill()
    assert process.returncode == 130
    assert "job_1 goes on" in errors
    assert "Traceback" not in errors
    assert [request.method for request in server.requests] == ["GET"] * len(server.requests)


def test_edit_changes_notes_of_a_job(server: FakeServer) -> None:
    edited = job(name="run", notes=None, metadata={})
    server.respond("PATCH /v1/jobs/job_1", json_response(edited))
    result = distill("edit", "job_1", "--notes", "")
    assert result.stdout == "job_1 run is changed; its metadata: none.\n"
    assert server.requests[0].json == {"notes": None}
