"""Evaluation jobs, and training that starts from a model's weights, on the embedded service."""

from pathlib import Path
from typing import Any

import pytest

from distill_client.errors import DistillProblem
from tests.builders import distillation_body, training_body
from tests.embedded.test_service import Start, start

__all__ = ["start"]

EVALUATION: dict[str, Any] = {
    "kind": "evaluation",
    "data": {"dataset": "digits"},
    "radius": 0.1,
    "evaluation": {
        "attacks": [
            {"name": "pgd", "steps": 3},
            {"name": "autoattack", "queries": 20, "iterations": 5},
        ],
        "analyses": [{"name": "calibration"}, {"name": "transfer"}],
        "limit": 50,
    },
}


def test_a_model_is_evaluated_by_a_job_of_its_own(start: Start, tmp_path: Path) -> None:
    with start().ready().client() as service:
        teacher = service.wait(service.submit(training_body(export=[])).id)
        assert teacher.status == "succeeded", teacher.failure
        student = service.wait(
            service.submit(distillation_body(teacher=teacher.id, export=["onnx"], awp={})).id
        )
        assert student.status == "succeeded", student.failure
        evaluation = service.wait(
            service.submit({**EVALUATION, "model": student.id, "reference": teacher.id}).id
        )
        assert evaluation.status == "succeeded", evaluation.failure
        assert evaluation.results is not None
        assert evaluation.results["model"].keys() == {
            "clean",
            "pgd-3@linf:0.1",
            "autoattack:queries=20:iterations=5@linf:0.1",
            "ece",
            "ece_adversarial@linf:0.1",
            "transfer@linf:0.1",
        }
        assert evaluation.measures["pgd-3@linf:0.1"].title == "PGD-3, L∞, 0.1"
        assert student.results is not None
        assert "held_out_pgd-10@linf:0.1" in student.results["best"]
        report = service.report(evaluation.id)
        assert report["spec"]["model"] == student.model_id
        assert "gradient_checks" in report["results"]["model"]
        names = {path.name for path in service.download(student.id, tmp_path)}
        assert {
            "best.safetensors",
            "student.onnx",
            "MODEL_CARD.md",
            "report.html",
            "training.svg",
        } <= names

        again = service.wait(service.submit(training_body(start_from=teacher.id, export=[])).id)
        assert again.status == "succeeded", again.failure
        with pytest.raises(DistillProblem, match="compares with another network"):
            service.submit({**EVALUATION, "model": student.id})
