"""A job that only measures: any model, any attack, and on from wherever it was stopped."""

import json
from pathlib import Path
from typing import Any

import torch

from core.distillation.models import from_description
from core.distillation.models.safetensors_weights import serialize_weights
from core.job_folder import JobFolder, Measured
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from tests.distillation.folders import TEACHER, run_job
from tests.distillation.training.test_resume import StopAfter

EVALUATION: dict[str, Any] = {
    "attacks": [
        {"name": "pgd", "steps": 3},
        {"name": "autoattack", "queries": 20, "iterations": 5},
    ],
    "limit": 60,
    "batch_size": 20,
}


def folder_of(path: Path, **changes: Any) -> JobFolder:
    body = {
        "model": "mdl_x",
        "data": {"dataset": "digits"},
        "radius": 0.1,
        "evaluation": EVALUATION,
        **changes,
    }
    folder = JobFolder(path)
    folder.create(
        resolve(EvaluationJobSpec.model_validate(body), DIGITS),
        model=TEACHER,
        teacher=TEACHER,
        dataset=DIGITS,
    )
    torch.manual_seed(7)
    network = from_description(TEACHER)
    with torch.no_grad():
        network.linear.bias.zero_()
    for place in (folder.model_weights, folder.teacher_weights):
        place.write_bytes(serialize_weights(network, {}))
    return folder


def results(folder: JobFolder) -> Any:
    found = json.loads((folder.output / "report.json").read_text())["results"]
    return json.loads(
        json.dumps(found), object_hook=lambda it: {key: it[key] for key in it if key != "seconds"}
    )


def test_every_measure_is_taken_and_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "job")
    assert run_job(folder).outcome == "succeeded"
    told = {
        (event.network, event.name)
        for event in folder.read_events()[0]
        if isinstance(event, Measured)
    }
    assert told == {("model", "clean"), ("model", "pgd"), ("model", "autoattack")}
    found = results(folder)["model"]
    assert found["autoattack"]["value"] <= found["pgd"]["value"] <= 1
    assert list(found["autoattack"]["stages"]) == ["apgd-ce", "apgd-t", "fab-t", "square"]


def test_an_evaluation_that_is_stopped_again_and_again_ends_with_the_same_results(
    tmp_path: Path,
) -> None:
    whole = folder_of(tmp_path / "whole")
    run_job(whole)
    attempt, checkpoint = 0, None
    while True:
        folder = folder_of(tmp_path / f"attempt-{attempt}")
        if checkpoint is not None:
            folder.checkpoint.write_bytes(checkpoint)
        ended = run_job(folder, StopAfter(9))
        if ended.outcome == "succeeded":
            break
        checkpoint = sorted(folder.output.glob("checkpoint-*"))[-1].read_bytes()
        attempt += 1
        assert attempt < 60
    assert attempt > 1
    assert results(folder) == results(whole)


def test_what_is_asked_to_be_exported_is_exported(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "job", evaluation={**EVALUATION, "attacks": []}, export=["onnx", "torch_export"]
    )
    assert run_job(folder).outcome == "succeeded"
    assert (folder.output / "student.onnx").stat().st_size > 1000
    assert (folder.output / "student.pt2").stat().st_size > 1000
