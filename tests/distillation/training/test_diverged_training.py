"""Trainings at a learning rate of 100, and others that diverge: told, stopped, resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation import methods
from core.distillation.methods.trades import Trades
from core.errors import JobFailed
from core.job_folder import EpochCompleted, JobFolder, Measured, Warned
from tests.distillation.folders import (
    SMALL_JOB,
    StopAfter,
    assert_same_results,
    create_job_folder,
    distillation_spec,
    newest_checkpoint,
    run_job,
    training_spec,
)

LIMITED = SMALL_JOB["evaluation"] | {"attacks": [], "limit": 20}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def job_folder(path: Path, epochs: int = 4, **schedule: Any) -> JobFolder:
    settings = {"epochs": epochs, "batch_size": 64, "learning_rate": 100.0, **schedule}
    return create_job_folder(path, training_spec(schedule=settings, evaluation=LIMITED))


def events_of(folder: JobFolder, kind: type) -> list[Any]:
    return [event for event in folder.read_events()[0] if isinstance(event, kind)]


def test_a_diverged_training_stops_with_advice(tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job")
    with pytest.raises(JobFailed, match="more than 100 times that of the first step") as failure:
        run_job(folder)
    assert (failure.value.code, failure.value.failure_class) == ("diverged", "user")
    assert "A lower learning rate" in failure.value.message
    (warning,) = events_of(folder, Warned)
    assert warning.code == "diverged"
    epochs = events_of(folder, EpochCompleted)
    assert len(epochs) < 4
    assert f"ends after epoch {len(epochs)} of 4" in warning.message


def test_a_diverged_training_goes_on_if_the_job_says_so(tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job", on_divergence="continue")
    assert run_job(folder).outcome == "succeeded"
    assert len(events_of(folder, EpochCompleted)) == 4
    (warning,) = events_of(folder, Warned)
    assert warning.code == "diverged"
    assert warning.message.endswith("it goes on, as schedule.on_divergence says.")
    report = json.loads((folder.output / "report.json").read_text())
    assert report["warnings"][0] == warning.message


@pytest.mark.parametrize("on_divergence", ["stop", "continue"])
def test_a_resumed_training_is_judged_alike(on_divergence: str, tmp_path: Path) -> None:
    """Wherever it was interrupted: in epoch 1, before it is validated, and later."""
    whole = job_folder(tmp_path / "whole", on_divergence=on_divergence)
    outcome = message_of(lambda: run_job(whole))
    for calls in (2, 4, 5, 7, 10):
        folders = [job_folder(tmp_path / f"{calls}-1", on_divergence=on_divergence)]
        if message_of(lambda: run_job(folders[0], StopAfter(calls))) != "stopped":  # noqa: B023
            continue
        folders.append(job_folder(tmp_path / f"{calls}-2", on_divergence=on_divergence))
        folders[1].checkpoint.write_bytes(newest_checkpoint(folders[0]).read_bytes())
        assert message_of(lambda: run_job(folders[1])) == outcome  # noqa: B023
        told = [warning for folder in folders for warning in events_of(folder, Warned)]
        assert told == events_of(whole, Warned)


def message_of(run: Callable[[], Any]) -> str:
    """Return the outcome of a run, or the message of its failure."""
    try:
        return str(run().outcome)
    except JobFailed as error:
        return error.message


class LateExplosion(Trades):
    """TRADES whose loss, and so its gradient, grows a million times after eight epochs."""

    def outer(self, batch: methods.Batch, adversarial_BCHW: torch.Tensor) -> methods.MethodLoss:
        loss = super().outer(batch, adversarial_BCHW)
        factor = 1e6 if batch.position.epoch >= 8 else 1.0
        terms = {
            name: methods.LossTerm(factor * term.weight, term.value)
            for name, term in loss.terms.items()
        }
        return methods.MethodLoss(terms, loss.metrics)


def test_a_good_student_outlives_a_late_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training ends early; the best epoch's student is evaluated and published."""
    monkeypatch.setitem(methods.ADVERSARIAL_TRAINING_METHODS, "trades", LateExplosion)

    def folder_at(name: str) -> JobFolder:
        return job_folder(tmp_path / name, epochs=12, learning_rate=0.5)

    whole = folder_at("whole")
    summary = run_job(whole).summary
    epochs = len(events_of(whole, EpochCompleted))
    assert summary["best_epoch"] <= 8 < epochs < 12
    (warning,) = events_of(whole, Warned)
    result = f"its result is the student of epoch {summary['best_epoch']}, the best."
    assert warning.message.endswith(f"ends after epoch {epochs} of 12; {result}")
    assert {event.network for event in events_of(whole, Measured)} == {"best", "last"}
    first = folder_at("first")
    # Before each step and each validation, at the training's end, and then in the evaluation.
    calls = epochs * (4 + 1) + 1
    assert run_job(first, StopAfter(calls)).outcome == "stopped"
    second = folder_at("second")
    second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    assert run_job(second).outcome == "succeeded"
    assert not events_of(second, EpochCompleted)
    assert_same_results(whole, second)


def test_a_usual_training_warns_of_nothing(tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job", epochs=6, learning_rate=0.1)
    assert run_job(folder).outcome == "succeeded"
    assert events_of(folder, Warned) == []


def test_a_random_teacher_teaches_no_better_than_guessing(tmp_path: Path) -> None:
    """The loss falls to 0 and nothing diverges, but after 100 steps nothing is learned."""
    spec = distillation_spec(
        method={"name": "rslad"},
        data={"dataset": "digits", "held_out": 0.1},
        schedule={"epochs": 5, "batch_size": 64, "learning_rate": 1.0},
        evaluation=LIMITED,
    )
    folder = create_job_folder(tmp_path / "job", spec)
    assert run_job(folder).outcome == "succeeded"
    (warning,) = events_of(folder, Warned)
    assert warning.code == "no_better_than_guessing"
    assert "of 144 held-out images, of which 11.1 % are of the most" in warning.message
