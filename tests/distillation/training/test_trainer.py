"""The training loop, in its folder and as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from core.atomic_files import sha256_of
from core.distillation import methods
from core.errors import JobFailed
from core.job_folder import Ended, EpochCompleted, FileReady, JobFolder, Metrics, PhaseStarted
from tests.distillation.folders import distillation_spec, create_job_folder, run_job, training_spec


def process(folder: JobFolder, *arguments: str, **options: object) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DISTILL_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "core.distillation", str(folder.path), *arguments],
        env=environment,
        **options,  # type: ignore[call-overload]
    )


def last_event(folder: JobFolder) -> Ended:
    event = folder.read_events()[0][-1]
    assert isinstance(event, Ended)
    return event


def wait_for(folder: JobFolder, kind: type, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not any(isinstance(event, kind) for event in folder.read_events()[0]):
        assert time.monotonic() < end, f"no {kind.__name__} in {seconds} s"
        time.sleep(0.05)


def test_the_same_spec_and_seed_give_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    weights = {}
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        folder = create_job_folder(tmp_path / name, distillation_spec(seed=seed))
        run_job(folder)
        weights[name] = sha256_of(folder.output / "last.safetensors")
    assert weights["one"] == weights["two"] != weights["three"]


@pytest.mark.parametrize("method", ["trades", "pgd_at"])
def test_a_teacher_is_made_without_a_teacher(method: str, tmp_path: Path) -> None:
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
def test_every_variant_of_a_distillation_runs_to_its_end(
    changes: dict[str, object], tmp_path: Path
) -> None:
    assert run_job(create_job_folder(tmp_path / "job", distillation_spec(**changes))).outcome == "succeeded"


def test_training_makes_the_loss_fall_and_the_student_better_than_chance(tmp_path: Path) -> None:
    schedule = {"epochs": 10, "batch_size": 64}
    student, data = (
        {"architecture": "small_cnn", "width": 8},
        {"dataset": "digits", "held_out": 0.1},
    )
    folder = create_job_folder(tmp_path / "job", training_spec(schedule=schedule, student=student, data=data))
    summary = run_job(folder).summary
    losses = [
        event.values["loss"] for event in folder.read_events()[0] if isinstance(event, EpochCompleted)
    ]
    assert losses[-1] < 0.8 * losses[0]
    assert summary["accuracy"]["best"]["clean"] > 0.5


def test_every_term_is_logged_by_name_with_both_effective_ranks(tmp_path: Path) -> None:
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


def test_the_report_names_split_seeds_versions_and_what_is_not_standard(tmp_path: Path) -> None:
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
    assert report["results"]["best"].keys() == {"clean", "pgd", "cw"}
    assert len(report["results"]["best"]["pgd"]["per_class"]) == 10


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_the_term(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", training_spec())

    class Broken(methods.METHODS["trades"]):  # type: ignore[misc]
        def outer(self, batch: methods.Batch, adversarial_BCHW: torch.Tensor) -> methods.MethodLoss:
            outcome = super().outer(batch, adversarial_BCHW)
            bad = methods.LossTerm(1.0, outcome.terms["smoothness"].value * float("nan"))
            return methods.MethodLoss(outcome.terms | {"smoothness": bad}, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods.METHODS, "trades", Broken)
        with pytest.raises(JobFailed, match=r"smoothness became nan at step 1;") as failure:
            run_job(folder)
    assert failure.value.failure_class == "user"
    assert failure.value.code == "non_finite_loss"


def test_a_gradient_that_is_not_finite_stops_before_the_step_and_names_the_term(
    tmp_path: Path,
) -> None:
    folder = create_job_folder(tmp_path / "job", training_spec())

    class Steep(methods.METHODS["trades"]):  # type: ignore[misc]
        def outer(self, batch: methods.Batch, adversarial_BCHW: torch.Tensor) -> methods.MethodLoss:
            outcome = super().outer(batch, adversarial_BCHW)
            zero = outcome.terms["smoothness"].value * 0
            return methods.MethodLoss(
                outcome.terms | {"smoothness": methods.LossTerm(1.0, zero.sqrt())}, {}
            )

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods.METHODS, "trades", Steep)
        with pytest.raises(
            JobFailed, match="gradient of the loss term smoothness is not finite at step 1;"
        ):
            run_job(folder)


def test_the_process_says_how_it_ended_and_leaves_whole_files(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec())
    assert process(folder).wait(120) == 0
    events, _ = folder.read_events()
    assert [event.phase for event in events if isinstance(event, PhaseStarted)] == [
        "preparing",
        "training",
        "evaluating",
        "exporting",
    ]
    assert last_event(folder).outcome == "succeeded"
    weights = next(
        event
        for event in events
        if isinstance(event, FileReady) and event.name == "best.safetensors"
    )
    assert (weights.size, weights.sha256) == (
        (folder.output / weights.name).stat().st_size,
        sha256_of(folder.output / weights.name),
    )
    assert not list(folder.output.glob(".*"))


def test_sigterm_makes_the_process_save_and_stop(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec(schedule={"epochs": 10_000, "batch_size": 64}))
    running = process(folder)
    wait_for(folder, Metrics)
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 2
    assert last_event(folder).outcome == "stopped"
    assert list(folder.output.glob("checkpoint-*.safetensors"))


def test_a_supervised_process_ends_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec(schedule={"epochs": 10_000, "batch_size": 64}))
    running = process(folder, "--supervised", stdin=subprocess.PIPE)
    wait_for(folder, Metrics)
    assert running.stdin is not None
    running.stdin.close()
    assert running.wait(10) == 3


def test_a_broken_teacher_file_fails_the_job_with_a_sentence(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path / "job", distillation_spec())
    folder.teacher_weights.write_bytes(b"not a checkpoint")
    assert process(folder, stderr=subprocess.DEVNULL).wait(60) == 1
    ended = last_event(folder)
    assert ended.outcome == "failed"
    assert ended.message
