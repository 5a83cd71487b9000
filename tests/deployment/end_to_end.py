"""Teacher, student, download and upload, through the REST interface with the project's client."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from distill_client import Distill
from distill_client.responses import Job

TINY: dict[str, Any] = {
    "student": {"architecture": "small_cnn", "width": 4},
    "data": {"dataset": "digits", "held_out": 0.1, "limit": 300},
    "adversary": {"name": "pgd", "radius": 0.15, "step_size": 0.05, "steps": 2},
    "schedule": {"epochs": 2, "batch_size": 64},
    "export": [],
    "evaluation": {
        "attacks": [{"name": "pgd", "steps": 3}, {"name": "cw", "steps": 3}],
        "limit": 100,
    },
}
TEACHER = {
    **TINY,
    "kind": "adversarial_training",
    "name": "teacher",
    "student": {"architecture": "small_cnn", "width": 8},
}


def run_end_to_end(distill: Distill, folder: Path) -> None:
    """Train a teacher, distill a student and download it; upload it, and let it teach another."""
    teacher = submit_and_wait(distill, TEACHER)
    student_spec = {
        **TINY,
        "kind": "distillation",
        "name": "student",
        "teacher": teacher.id,
        "method": {"name": "starship"},
    }
    assert distill.dry_run(student_spec).estimate.steps == 8
    student = submit_and_wait(distill, student_spec)
    files = download_and_check(distill, student, folder)

    model = distill.upload_model(
        files["best.safetensors"],
        "again",
        {"architecture": "small_cnn", "width": 4},
        classes=10,
        channels=1,
        height=8,
        width=8,
    )
    assert distill.wait_model(model.id).status == "ready"
    submit_and_wait(distill, {**student_spec, "teacher": "again", "method": {"name": "arkd"}})


def submit_and_wait(distill: Distill, spec: dict[str, Any]) -> Job:
    """Return the job, which has succeeded."""
    job = distill.wait(distill.submit(spec).id)
    assert job.status == "succeeded", job.failure
    return job


def download_and_check(distill: Distill, student: Job, folder: Path) -> dict[str, Path]:
    """Download a student's files; check hashes, weights and report; return the paths by name."""
    files = {path.name: path for path in distill.download(student.id, folder)}
    assert {"best.safetensors", "last.safetensors", "report.json"} <= files.keys()
    artifacts = {artifact.name: artifact for artifact in distill.artifacts(student.id)}
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == artifacts[name].sha256
    assert load_file(files["best.safetensors"])["linear.weight"].shape == (10, 16)
    report = json.loads(files["report.json"].read_text())
    assert report == distill.report(student.id)
    assert student.results is not None
    for network, results in report["results"].items():
        values = {key: result["value"] for key, result in results.items()}
        accuracies = {key: value for key, value in values.items() if value is not None}
        assert {"clean"} < accuracies.keys()
        assert accuracies.items() <= student.results[network].items()
    return files
