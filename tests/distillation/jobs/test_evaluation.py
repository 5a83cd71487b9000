"""Evaluation jobs: any model, any attack, resumed wherever they were stopped."""

import json
from pathlib import Path
from typing import Any

import torch

from core.distillation.models import from_description
from core.distillation.models.safetensors_weights import serialize_weights
from core.distillation.models.small_cnn import SmallCnn
from core.job_folder import JobFolder, Measured
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from tests.distillation.folders import TEACHER, StopAfter, newest_checkpoint, run_job

EVALUATION: dict[str, Any] = {
    "attacks": [
        {"name": "pgd", "steps": 3},
        {"name": "autoattack", "queries": 20, "iterations": 5},
    ],
    "limit": 60,
    "batch_size": 20,
}
PGD = "pgd-3@linf:0.1"
AUTOATTACK = "autoattack:queries=20:iterations=5@linf:0.1"


def create_job_folder(path: Path, **changes: Any) -> JobFolder:
    spec = EvaluationJobSpec.model_validate(
        {
            "model": "mdl_x",
            "data": {"dataset": "digits"},
            "radius": 0.1,
            "evaluation": EVALUATION,
            **changes,
        }
    )
    folder = JobFolder(path)
    folder.create(resolve(spec, DIGITS), model=TEACHER, teacher=TEACHER, dataset=DIGITS)
    torch.manual_seed(7)
    network = from_description(TEACHER)
    assert isinstance(network, SmallCnn)
    with torch.no_grad():
        network.linear.bias.zero_()
    for path in (folder.model_weights, folder.teacher_weights):
        path.write_bytes(serialize_weights(network, {}))
    return folder


def timeless_results(folder: JobFolder) -> Any:
    """Return the report's results without any time, those of AutoAttack's stages included."""
    results = json.loads((folder.output / "report.json").read_text())["results"]
    return json.loads(json.dumps(results), object_hook=without_seconds)


def without_seconds(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "seconds"}


def test_every_measure_has_a_result_and_an_event(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job")
    assert run_job(folder).outcome == "succeeded"
    events, _ = folder.read_events()
    measured = {(event.network, event.name) for event in events if isinstance(event, Measured)}
    assert measured == {("model", "clean"), ("model", PGD), ("model", AUTOATTACK)}
    results = timeless_results(folder)["model"]
    assert set(results) == {"clean", PGD, AUTOATTACK, "gradient_checks"}
    assert results[AUTOATTACK]["value"] <= results[PGD]["value"] <= 1
    assert list(results[AUTOATTACK]["stages"]) == ["apgd-ce", "apgd-t", "fab-t", "square"]


def test_unlike_threat_models_have_results_of_their_own(tmp_path: Path) -> None:
    """Equal attacks, too: they differ in their random starts."""
    pgd = {"name": "pgd", "steps": 2}
    attacks = [
        pgd,
        {**pgd, "radius": "8/255"},
        pgd,
        {**EVALUATION["attacks"][1], "norm": "l2", "radius": 0.5, "stages": ["apgd-ce"]},
    ]
    folder = create_job_folder(tmp_path / "job", evaluation={**EVALUATION, "attacks": attacks})
    assert run_job(folder).outcome == "succeeded"
    results = timeless_results(folder)["model"]
    in_l2 = "autoattack:stages=apgd-ce:queries=20:iterations=5@l2:0.5"
    keys = ["pgd-2@linf:0.1", "pgd-2@linf:8/255", "pgd-2@linf:0.1#2", in_l2]
    assert list(results) == ["clean", *keys, "gradient_checks"]
    assert [results[key]["measure"]["radius"] for key in keys] == [0.1, 8 / 255, 0.1, 0.5]
    assert [results[key]["measure"]["norm"] for key in keys] == ["linf"] * 3 + ["l2"]


def test_evaluations_card_names_only_files_that_exist(tmp_path: Path) -> None:
    evaluation = {**EVALUATION, "attacks": []}
    folder = create_job_folder(tmp_path / "job", evaluation=evaluation, export=["torch_export"])
    assert run_job(folder).outcome == "succeeded"
    card = (folder.output / "MODEL_CARD.md").read_text()
    assert "student.pt2" in card
    assert "best.safetensors" not in card
    assert "student.onnx" not in card


def test_an_often_stopped_evaluation_has_the_same_results(tmp_path: Path) -> None:
    uninterrupted = create_job_folder(tmp_path / "uninterrupted")
    run_job(uninterrupted)
    attempt = 0
    checkpoint = None
    while True:
        folder = create_job_folder(tmp_path / f"attempt-{attempt}")
        if checkpoint is not None:
            folder.checkpoint.write_bytes(checkpoint)
        ended = run_job(folder, StopAfter(9))
        if ended.outcome == "succeeded":
            break
        checkpoint = newest_checkpoint(folder).read_bytes()
        attempt += 1
        assert attempt < 60
    assert attempt > 1
    assert timeless_results(folder) == timeless_results(uninterrupted)


def test_requested_formats_are_exported(tmp_path: Path) -> None:
    evaluation = {**EVALUATION, "attacks": []}
    formats = ["onnx", "torch_export"]
    folder = create_job_folder(tmp_path / "job", evaluation=evaluation, export=formats)
    assert run_job(folder).outcome == "succeeded"
    assert (folder.output / "student.onnx").stat().st_size > 1000
    assert (folder.output / "student.pt2").stat().st_size > 1000
