"""The main job from end to end, through the public REST interface with the project's own client."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from distill_client import Distill

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


def walk(distill: Distill, folder: Path) -> None:
    """Teacher, student, download; then the student goes out and comes in again as a model, and teaches."""
    teacher = distill.wait(distill.submit(TEACHER).id)
    assert teacher.status == "succeeded", teacher.failure
    student_spec = {
        **TINY,
        "kind": "distillation",
        "name": "student",
        "teacher": teacher.id,
        "method": {"name": "starship"},
    }
    assert distill.dry_run(student_spec).estimate.steps == 8
    student = distill.wait(distill.submit(student_spec).id)
    assert student.status == "succeeded", student.failure

    files = {path.name: path for path in distill.download(student.id, folder)}
    assert {"best.safetensors", "last.safetensors", "report.json"} <= files.keys()
    listed = {artifact.name: artifact for artifact in distill.artifacts(student.id)}
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name].sha256
    assert load_file(files["best.safetensors"])["linear.weight"].shape == (10, 16)
    report = json.loads(files["report.json"].read_text())
    assert report == distill.report(student.id)
    for network, results in report["results"].items():
        assert {name: it["value"] for name, it in results.items()}.items() <= student.results[
            network
        ].items()

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
    again = distill.wait(
        distill.submit({**student_spec, "teacher": "again", "method": {"name": "arkd"}}).id
    )
    assert again.status == "succeeded", again.failure
