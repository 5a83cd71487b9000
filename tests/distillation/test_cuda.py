"""The same jobs on a CUDA device. Deselected, and counted, where there is none."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation import __main__ as main
from core.distillation.evaluation.measures import MEASURES
from core.distillation.methods import TrainingPosition
from core.distillation.methods.at_prm import AtPrm
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.statistics.distances import DISTANCES, squared_distance
from core.jobspec.training.methods import AtPrmSettings
from core.reportspec.report import Report
from tests.distillation.folders import (
    StopAfter,
    create_job_folder,
    distillation_spec,
    newest_checkpoint,
    run_job,
    training_spec,
)

pytestmark = pytest.mark.gpu

ANALYSES = set(MEASURES) - {"clean", "pgd", "cw", "autoattack", "gradient_checks"}


@pytest.fixture(autouse=True)
def _on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_DEVICE", "cuda")


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_distillation_succeeds_in_every_precision(precision: str, tmp_path: Path) -> None:
    schedule = {"epochs": 1, "batch_size": 64, "precision": precision}
    folder = create_job_folder(tmp_path / "job", distillation_spec(schedule=schedule))
    assert run_job(folder).outcome == "succeeded"


@pytest.mark.parametrize(
    "changes",
    [{"method": {"name": "arkd"}}, {"adversary": {"name": "n_fgsm", "radius": 0.1}}],
    ids=str,
)
def test_other_methods_and_adversaries_succeed(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec(**changes))
    assert run_job(folder).outcome == "succeeded"


def test_every_attack_and_analysis_succeeds(tmp_path: Path) -> None:
    """One that fails costs a job only a warning."""
    analyses = [{"name": name} for name in ANALYSES]
    short = {"name": "autoattack", "queries": 20, "iterations": 5}
    attacks = [{"name": "pgd"}, {"name": "cw"}, short]
    evaluation = {"attacks": attacks, "limit": 30, "analyses": analyses, "batch_size": 30}
    folder = create_job_folder(tmp_path / "job", distillation_spec(evaluation=evaluation))
    assert run_job(folder).outcome == "succeeded"
    report = Report.model_validate_json((folder.output / "report.json").read_text())
    assert set(report.main_results) >= ANALYSES, report.warnings
    measured = {result.measure.name for result in report.main_results.values()}
    assert measured >= {"pgd", "cw", "autoattack"}


@pytest.mark.parametrize("method", ["trades", "pgd_at", "score", "n_fgsm"])
def test_references_of_adversarial_training_succeed(method: str, tmp_path: Path) -> None:
    """Also with clipped gradients, which no preset of these has."""
    schedule: dict[str, Any] = {"epochs": 2, "batch_size": 64, "max_gradient_norm": 1.0}
    if method in ("trades", "pgd_at"):
        schedule["decay"] = {"name": "constant"}
    adversary = {"name": "n_fgsm" if method == "n_fgsm" else "pgd", "radius": 0.1}
    spec = training_spec(
        preset="reference", method={"name": method}, schedule=schedule, adversary=adversary
    )
    assert run_job(create_job_folder(tmp_path / "job", spec)).outcome == "succeeded"


def test_masks_of_at_prm_are_drawn_on_the_device() -> None:
    """The host does not wait for it: torch raises an error if it does."""
    student = SmallCnn(4, width=2, channels=1).cuda()
    student.patch_size = 2
    method = AtPrm(AtPrmSettings(mixing_probability=0.0), student)
    images = torch.rand(6, 1, 8, 8).cuda()
    position = TrainingPosition(step=4, steps_per_epoch=1, epochs=20)
    batch = method.prepare_batch(images, torch.zeros(6, dtype=torch.long).cuda(), position)
    torch.cuda.set_sync_debug_mode("error")
    try:
        transformed = method.transform_iterate(batch, images + 0.1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (transformed == images).float().mean().item() == 0.5


def test_a_stopped_job_resumes(tmp_path: Path) -> None:
    first = create_job_folder(tmp_path / "first", distillation_spec())
    assert run_job(first, StopAfter(3)).outcome == "stopped"
    second = create_job_folder(tmp_path / "second", distillation_spec())
    second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    assert run_job(second).outcome == "succeeded"


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_are_those_of_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    a, b = (torch.cov(torch.randn(32, 100)) for _ in range(2))
    on_cuda = squared_distance(a.cuda(), b.cuda(), name)
    assert on_cuda.item() == pytest.approx(squared_distance(a, b, name).item(), rel=1e-3)


def test_out_of_memory_on_cuda_is_recognized(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec())
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        ended = main.run(folder, threading.Event())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (ended.outcome, ended.code, ended.failure_class) == (
        "failed",
        "out_of_memory",
        "infrastructure",
    )
