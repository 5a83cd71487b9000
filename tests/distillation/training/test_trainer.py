"""The training loop, run in this process and as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from core.atomic_files import sha256_of
from core.distillation import methods
from core.distillation.methods.trades import Trades
from core.errors import JobFailed
from core.job_folder import Ended, EpochCompleted, FileReady, JobFolder, Metrics, PhaseStarted
from core.reportspec.measures import describe, find_by_name
from tests.distillation.folders import (
    create_job_folder,
    distillation_spec,
    run_job,
    training_spec,
)

ENDLESS = {"epochs": 10_000, "batch_size": 64}


def start_trainer(folder: JobFolder, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "core.distillation", str(folder.path), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "DISTILL_THREADS": "1"},
        **options,
    )


def last_event(folder: JobFolder) -> Ended:
    event = folder.read_events()[0][-1]
    assert isinstance(event, Ended)
    return event


def wait_for(folder: JobFolder, kind: type, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not any(isinstance(event, kind) for event in folder.read_events()[0]):
        assert time.monotonic() < deadline, f"no {kind.__name__} in {seconds} s"
        time.sleep(0.05)


def test_bits_are_a_function_of_spec_and_seed(tmp_path: Path) -> None:
    """The same seed gives the same bits, and another seed gives others."""
    weights = {}
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        folder = create_job_folder(tmp_path / name, distillation_spec(seed=seed))
        run_job(folder)
        weights[name] = sha256_of(folder.output / "last.safetensors")
    assert weights["one"] == weights["two"] != weights["three"]


@pytest.mark.parametrize("method", ["trades", "pgd_at"])
def test_a_robust_network_is_trained_without_a_teacher(method: str, tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", training_spec(method={"name": method}))
    assert run_job(folder).outcome == "succeeded"


@pytest.mark.parametrize(
    "changes",
    [
        {"method": {"name": "arkd"}},
        {"method": {"name": "arkd", "adaptive": True}},
        {"method": {"name": "starship", "adaptive": True}},
        {"adversary": {"name": "n_fgsm", "radius": 0.1}},
        {"schedule": {"epochs": 1, "batch_size": 64, "precision": "bf16"}},
        {
            "method": {
                "name": "starship",
                "covariance": {"distance": {"name": "kl"}},
                "gram": {"distance": {"name": "kl"}},
            }
        },
        {
            "method": {
                "name": "starship",
                "covariance": {
                    "heads": {"kind": "mlp", "teacher": "frozen", "perturbation_steps": 3}
                },
            }
        },
    ],
    ids=str,
)
def test_every_variant_of_a_distillation_succeeds(
    changes: dict[str, object], tmp_path: Path
) -> None:
    assert (
        run_job(create_job_folder(tmp_path / "job", distillation_spec(**changes))).outcome
        == "succeeded"
    )


def test_training_reduces_the_loss_and_beats_chance(tmp_path: Path) -> None:
    spec = training_spec(
        schedule={"epochs": 10, "batch_size": 64},
        student={"architecture": "small_cnn", "width": 8},
        data={"dataset": "digits", "held_out": 0.1},
    )
    folder = create_job_folder(tmp_path / "job", spec)
    summary = run_job(folder).summary
    events, _ = folder.read_events()
    losses = [event.values["loss"] for event in events if isinstance(event, EpochCompleted)]
    assert losses[-1] < 0.8 * losses[0]
    assert summary["accuracy"]["best"]["clean"] > 0.5


def test_every_loss_term_and_effective_rank_is_logged(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec())
    run_job(folder)
    values = next(event.values for event in folder.read_events()[0] if isinstance(event, Metrics))
    terms = {
        "arkd_clean",
        "arkd_adversarial",
        "cosine",
        "fca",
        "pgm",
        "omega_covariance",
        "omega_gram",
    }
    assert {f"loss_{name}" for name in terms} | {
        "loss",
        "effective_rank_teacher",
        "effective_rank_student",
    } <= values.keys()


def test_the_report_has_split_seeds_versions_and_warnings(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec())
    run_job(folder)
    report = json.loads((folder.output / "report.json").read_text())
    assert report["data"]["images"] == {"training": 270, "held_out": 30, "test": 100}
    assert report["seeds"] == {"training": 0, "evaluation": 0}
    assert report["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert {
        "Only 100 of 360 test images were used.",
        "Only 300 of 1437 training images were used.",
    } <= set(report["warnings"])
    assert report["results"].keys() == {"best", "last"}
    assert [describe(key).name for key in report["results"]["best"]] == [
        "clean",
        "pgd",
        "cw",
        "gradient_checks",
    ]
    pgd = find_by_name(report["results"]["best"], "pgd")
    assert pgd is not None
    assert len(pgd["per_class"]) == 10


class NonFiniteLoss(Trades):
    """TRADES with a term that is NaN."""

    def outer(self, batch: methods.Batch, adversarial_BCHW: torch.Tensor) -> methods.MethodLoss:
        loss = super().outer(batch, adversarial_BCHW)
        term = methods.LossTerm(1.0, loss.terms["smoothness"].value * float("nan"))
        return methods.MethodLoss(loss.terms | {"smoothness": term}, {})


class NonFiniteGradient(Trades):
    """TRADES with a term that is 0, where its gradient is infinite."""

    def outer(self, batch: methods.Batch, adversarial_BCHW: torch.Tensor) -> methods.MethodLoss:
        loss = super().outer(batch, adversarial_BCHW)
        zero = loss.terms["smoothness"].value * 0
        term = methods.LossTerm(1.0, zero.sqrt())
        return methods.MethodLoss(loss.terms | {"smoothness": term}, {})


def test_a_non_finite_loss_stops_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the optimizer's step; the error names the term."""
    folder = create_job_folder(tmp_path / "job", training_spec())
    monkeypatch.setitem(methods.ADVERSARIAL_TRAINING_METHODS, "trades", NonFiniteLoss)
    with pytest.raises(JobFailed, match=r"smoothness became nan at step 1;") as failure:
        run_job(folder)
    assert failure.value.failure_class == "user"
    assert failure.value.code == "non_finite_loss"


def test_a_non_finite_gradient_stops_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the optimizer's step; the error names the term."""
    folder = create_job_folder(tmp_path / "job", training_spec())
    monkeypatch.setitem(methods.ADVERSARIAL_TRAINING_METHODS, "trades", NonFiniteGradient)
    message = "gradient of the loss term smoothness is not finite at step 1;"
    with pytest.raises(JobFailed, match=message):
        run_job(folder)


def test_a_trainer_emits_its_end_and_complete_files(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec())
    assert start_trainer(folder).wait(120) == 0
    events, _ = folder.read_events()
    phases = [event.phase for event in events if isinstance(event, PhaseStarted)]
    assert phases == ["preparing", "training", "evaluating", "exporting"]
    assert last_event(folder).outcome == "succeeded"
    files = {event.name: event for event in events if isinstance(event, FileReady)}
    weights = files["best.safetensors"]
    path = folder.output / weights.name
    assert (weights.size, weights.sha256) == (path.stat().st_size, sha256_of(path))
    assert not list(folder.output.glob(".*"))


def test_sigterm_makes_a_trainer_save_and_stop(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec(schedule=ENDLESS))
    trainer = start_trainer(folder)
    wait_for(folder, Metrics)
    trainer.send_signal(signal.SIGTERM)
    assert trainer.wait(30) == 2
    assert last_event(folder).outcome == "stopped"
    assert list(folder.output.glob("checkpoint-*.safetensors"))


def test_a_supervised_trainer_exits_with_its_supervisor(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec(schedule=ENDLESS))
    trainer = start_trainer(folder, "--supervised", stdin=subprocess.PIPE)
    wait_for(folder, Metrics)
    assert trainer.stdin is not None
    trainer.stdin.close()
    assert trainer.wait(10) == 3


def test_a_corrupt_teacher_file_fails_with_a_sentence(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec())
    folder.teacher_weights.write_bytes(b"not a checkpoint")
    assert start_trainer(folder, stderr=subprocess.DEVNULL).wait(60) == 1
    ended = last_event(folder)
    assert ended.outcome == "failed"
    assert ended.message
