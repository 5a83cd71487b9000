"""The same jobs on a CUDA device. Deselected, and counted, where there is none."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation import __main__ as main
from core.distillation.statistics.distances import DISTANCES, squared_distance
from tests.distillation.folders import (
    StopAfter,
    create_job_folder,
    distillation_spec,
    newest_checkpoint,
    run_job,
)

pytestmark = pytest.mark.gpu


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
