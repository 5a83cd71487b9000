"""Parts of the training loop by themselves: what a step sees, and how an epoch is judged.

Jobs have 270 training images in batches of 64, so four steps an epoch, and two epochs.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.distillation import seeds
from core.distillation.adversaries import pgd
from core.distillation.methods import TrainingPosition
from core.distillation.training.running_metrics import RunningMetrics
from core.distillation.training.trainer import Trainer
from core.errors import JobFailed
from core.job_folder import EpochCompleted, JobFolder, Metrics
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.resolved import ResolvedPgdAttack
from tests.distillation.folders import create_job_folder, prepare_trainer, training_spec

PLAIN_SGD = {
    "epochs": 2,
    "batch_size": 64,
    "learning_rate": 0.5,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "decay": {"name": "constant"},
}


def trainer_of(path: Path, **changes: Any) -> Trainer:
    settings = {"method": {"name": "pgd_at"}, "schedule": PLAIN_SGD, **changes}
    return prepare_trainer(create_job_folder(path, training_spec(**settings)))


def take_steps(trainer: Trainer, count: int) -> list[Metrics]:
    return [event for _ in range(count) for event in trainer.train_step()]


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in trainer.student.named_parameters()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


# -- adversarial weight perturbation


@pytest.mark.parametrize("begin", [0, 1])
def test_awp_begins_after_its_epochs(begin: int, tmp_path: Path) -> None:
    plain = trainer_of(tmp_path / "plain")
    perturbed = trainer_of(tmp_path / "awp", awp={"gamma": 0.05, "begin": begin})
    take_steps(plain, 4 * begin)
    take_steps(perturbed, 4 * begin)
    assert equal(weights(perturbed), weights(plain))
    take_steps(plain, 1)
    take_steps(perturbed, 1)
    assert not equal(weights(perturbed), weights(plain))


def gradients_of(trainer: Trainer, batch: Any, adversarial_BCHW: Tensor) -> dict[str, Tensor]:
    """Return the gradient of a step's loss at the student's present weights."""
    trainer.student.train()
    loss = trainer.method.outer(batch, adversarial_BCHW).total
    parameters = dict(trainer.student.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    return dict(zip(parameters, gradients, strict=True))


def test_step_with_awp_descends_at_the_perturbed_weights(tmp_path: Path) -> None:
    """From w, by the gradient at w + gamma ||w|| g / ||g||; vectors are not perturbed."""
    trainer = trainer_of(tmp_path / "by hand", awp={"gamma": 0.05})
    before = weights(trainer)
    batch, adversarial_BCHW = trainer.adversarial_batch(0)
    first = gradients_of(trainer, batch, adversarial_BCHW)
    with torch.no_grad():
        for name, weight in trainer.student.named_parameters():
            if weight.ndim > 1:
                weight.add_(0.05 * weight.norm() * first[name] / first[name].norm())
    second = gradients_of(trainer, batch, adversarial_BCHW)
    expected = {name: before[name] - 0.5 * second[name] for name in before}
    stepped = trainer_of(tmp_path / "trainer", awp={"gamma": 0.05})
    take_steps(stepped, 1)
    for name, value in weights(stepped).items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-4)


# -- what a step sees


def test_step_knows_its_place_in_the_training(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "job")
    batch, _ = trainer.adversarial_batch(5)
    assert batch.position == TrainingPosition(step=5, steps_per_epoch=4, epochs=2)
    assert batch.position.epoch == 1
    assert (trainer.steps_per_epoch, trainer.steps) == (4, 8)


@pytest.mark.parametrize("step", [0, 5])
def test_attack_of_a_step_is_a_function_of_seed_and_step(step: int, tmp_path: Path) -> None:
    adversary = {"name": "pgd", "radius": 0.1, "step_size": 0.04, "steps": 3, "start": "uniform"}
    trainer = trainer_of(tmp_path / "job", adversary=adversary, seed=6)
    batch, adversarial_BCHW = trainer.adversarial_batch(step)
    images_BCHW, labels_B = trainer.batches.at(step)
    assert torch.equal(batch.images_BCHW, images_BCHW)
    assert torch.equal(batch.labels_B, labels_B)
    trainer.student.eval()
    expected_BCHW = pgd(
        trainer.method.inner(batch),
        images_BCHW,
        radius=0.1,
        step_size=0.04,
        steps=3,
        start="uniform",
        generator=seeds.generator("cpu", 6, "adversary", step),
    )
    torch.testing.assert_close(adversarial_BCHW, expected_BCHW)


def test_methods_own_draws_are_a_function_of_seed_and_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tmp_path / "job", seed=6)
    prepare_batch = trainer.method.prepare_batch
    drawn: list[float] = []

    def draw(*arguments: Any) -> Any:
        drawn.append(torch.rand(()).item())
        return prepare_batch(*arguments)

    monkeypatch.setattr(trainer.method, "prepare_batch", draw)
    for step in (3, 5, 3):
        trainer.adversarial_batch(step)
        torch.manual_seed(seeds.derive(6, "network", step))
        assert drawn[-1] == torch.rand(()).item()
    assert drawn[0] == drawn[2] != drawn[1]


def create_folder_with_extra_images(path: Path, ratio: float) -> JobFolder:
    """A job on digits with 20 extra images, all white, of class 7."""
    data = {
        "dataset": "digits",
        "held_out": 0.1,
        "limit": 300,
        "augmentation": {"crop_padding": 0, "flip": False},
        "extra": {"dataset": "white", "ratio": ratio},
    }
    folder = create_job_folder(path, training_spec(method={"name": "pgd_at"}, data=data))
    white = torch.full((20, 1, 8, 8), 255, dtype=torch.uint8)
    tensors = {"train_images": white, "train_labels": torch.full((20,), 7)}
    tensors |= {"test_images": white[:0], "test_labels": torch.zeros(0, dtype=torch.long)}
    save_file(tensors, folder.extra_file)
    description = DIGITS.model_copy(
        update={"source": "packed", "train_images": 20, "test_images": 0}
    )
    folder.extra_description.write_text(description.model_dump_json())
    return folder


@pytest.mark.parametrize(("ratio", "expected"), [(0.25, 16), (0.7, 45)])
def test_step_trains_on_its_share_of_extra_images(
    ratio: float, expected: int, tmp_path: Path
) -> None:
    """Of a batch of 64: the method gets them, with their labels."""
    trainer = prepare_trainer(create_folder_with_extra_images(tmp_path / "job", ratio))
    for step in (0, 6):
        batch, adversarial_BCHW = trainer.adversarial_batch(step)
        is_white_B = (batch.images_BCHW == 1).flatten(1).all(dim=1)
        assert len(batch.labels_B) == len(adversarial_BCHW) == 64
        assert int(is_white_B.sum()) == expected
        assert (batch.labels_B[is_white_B] == 7).all()
        assert (batch.labels_B[~is_white_B] != 7).any()


# -- metrics


def test_epochs_metrics_are_means_over_its_steps(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "job", method={"name": "trades"})
    events = list(trainer.train(lambda: False))
    steps = [event for event in events if isinstance(event, Metrics)]
    epochs = [event for event in events if isinstance(event, EpochCompleted)]
    assert [event.step for event in steps] == list(range(1, 9))
    assert [(event.epoch, event.step) for event in epochs] == [(1, 4), (2, 8)]
    for epoch, of_epoch in zip(epochs, (steps[:4], steps[4:]), strict=True):
        for name in ("loss", "loss_cross_entropy", "loss_smoothness"):
            mean = sum(event.values[name] for event in of_epoch) / 4
            assert epoch.values[name] == pytest.approx(mean, rel=1e-6)
    assert {event.values["learning_rate"] for event in steps} == {0.5}
    assert [entry["epoch"] for entry in trainer.state.history] == [1, 2]
    assert trainer.state.history[1] == {"epoch": 2, **epochs[1].values}


@pytest.mark.parametrize(("epochs", "interval"), [(2, 1), (500, 1), (999, 1), (1000, 2), (2500, 5)])
def test_long_jobs_emit_about_2000_metrics(epochs: int, interval: int, tmp_path: Path) -> None:
    """Of four steps an epoch."""
    trainer = trainer_of(tmp_path / "job", schedule={**PLAIN_SGD, "epochs": epochs})
    assert trainer.metrics_interval == interval


def test_metrics_come_at_every_interval(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "job")
    trainer.metrics_interval = 3
    assert [event.step for event in take_steps(trainer, 7)] == [3, 6]


def test_progress_estimates_the_remaining_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the steps of this attempt: two seconds each, here."""
    trainer = trainer_of(tmp_path / "job")
    clock = SimpleNamespace(monotonic=lambda: 108.0)
    monkeypatch.setattr("core.distillation.training.trainer.time", clock)
    trainer.state.step = 6
    trainer.last_progress_time = 107.75
    assert not list(trainer.progress_events(first_step=2, start_time=100.0))
    trainer.last_progress_time = 107.5
    (event,) = trainer.progress_events(first_step=2, start_time=100.0)
    assert (event.phase, event.step, event.of, event.epoch, event.epochs) == (
        "training",
        6,
        8,
        2,
        2,
    )
    assert event.eta_seconds == 4.0
    assert not list(trainer.progress_events(first_step=2, start_time=100.0))
    trainer.state.step = 8
    trainer.last_progress_time = 0.0
    (event,) = trainer.progress_events(first_step=2, start_time=100.0)
    assert (event.epoch, event.eta_seconds) == (2, 0.0)


# -- selection of the best epoch


def selected(
    path: Path,
    scores: list[tuple[float, float]],
    monkeypatch: pytest.MonkeyPatch,
    every_epochs: int = 1,
) -> Trainer:
    """Complete an epoch for each score, without training: (robust, clean) held-out accuracy."""
    schedule = {**PLAIN_SGD, "epochs": len(scores)}
    evaluation = {"attacks": [], "every_epochs": every_epochs}
    trainer = trainer_of(path, schedule=schedule, evaluation=evaluation)

    def scripted(self: Trainer, attack: ResolvedPgdAttack | None) -> float:
        robust, clean = scores[len(self.state.history)]
        if attack is None:
            return clean
        assert (attack.radius, attack.step_size, attack.steps) == (0.15, 0.15 / 4, 10)
        assert attack.restarts == 1
        return robust

    monkeypatch.setattr(Trainer, "held_out_accuracy", scripted)
    for epoch in range(1, len(scores) + 1):
        with torch.no_grad():
            dict(trainer.student.named_parameters())["linear.bias"].fill_(epoch)
        trainer.state.step += trainer.steps_per_epoch
        trainer.metrics = RunningMetrics({"loss": 8.0})
        trainer.validate_epoch()
    return trainer


@pytest.mark.parametrize(
    ("scores", "best_epoch"),
    [
        # The highest robust accuracy, whatever the clean one; then the highest clean one; then
        # the latest.
        ([(0.5, 0.9), (0.6, 0.7), (0.4, 1.0)], 2),
        ([(0.5, 0.7), (0.5, 0.9), (0.5, 0.8)], 2),
        ([(0.5, 0.7), (0.5, 0.7), (0.4, 0.9)], 2),
        ([(0.0, 0.0), (0.0, 0.0)], 2),
        ([(0.3, 0.3), (0.2, 0.2)], 1),
    ],
)
def test_best_epoch_by_hand(
    scores: list[tuple[float, float]],
    best_epoch: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = selected(tmp_path / "job", scores, monkeypatch)
    assert trainer.state.best_epoch == best_epoch
    assert trainer.state.best_score == scores[best_epoch - 1]
    assert (trainer.state.best["linear.bias"] == best_epoch).all()
    accuracies = [
        (entry["held_out_robust"], entry["held_out_clean"]) for entry in trainer.state.history
    ]
    assert accuracies == scores


def test_epochs_between_measurements_are_not_selected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second epoch is measured, and the last one."""
    scores = [(0.9, 0.9), (0.5, 0.5), (0.8, 0.8), (0.4, 0.4), (0.3, 0.3)]
    trainer = selected(tmp_path / "job", scores, monkeypatch, every_epochs=2)
    measured = [entry["epoch"] for entry in trainer.state.history if "held_out_clean" in entry]
    assert measured == [2, 4, 5]
    assert trainer.state.best_epoch == 2


def test_held_out_accuracy_is_that_of_the_held_out_images(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "job")
    images_BCHW, labels_B = trainer.held_out.batch(torch.arange(30))
    assert len(trainer.held_out) == 30
    trainer.student.eval()
    expected = (trainer.student(images_BCHW).argmax(1) == labels_B).float().mean().item()
    assert trainer.held_out_accuracy(None) == pytest.approx(expected)
    assert trainer.held_out_accuracy(trainer.selection_attack()) <= expected


@pytest.mark.parametrize(("steps_per_epoch", "batches"), [(4, 4), (64, 64), (65, 64)])
def test_averages_statistics_are_of_the_first_batches(
    steps_per_epoch: int, batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one epoch at most, and of 64."""
    trainer = trainer_of(tmp_path / "job", averaging={"name": "ema", "decay": 0.5})
    take_steps(trainer, 1)
    images_BCHW, labels_B = trainer.batches.at(0)
    steps: list[int] = []

    def at(step: int) -> tuple[Tensor, Tensor]:
        steps.append(step)
        return images_BCHW[:2], labels_B[:2]

    monkeypatch.setattr(trainer.batches, "at", at)
    trainer.steps_per_epoch = steps_per_epoch
    with trainer.averaged_weights():
        pass
    assert steps == list(range(batches))


def test_average_without_updates_changes_nothing(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "job", averaging={"name": "swa", "begin": 1})
    take_steps(trainer, 1)
    before = trainer.copy_weights()
    with trainer.averaged_weights():
        assert equal(trainer.copy_weights(), before)
    assert equal(trainer.copy_weights(), before)


# -- resumption


@pytest.mark.parametrize(
    ("step", "epochs", "complete"),
    [
        (0, [], True),
        (4, [], True),
        (5, [], False),
        (3, [1], False),
        (4, [1], True),
        (8, [1], True),
        (9, [1], False),
        (8, [1, 2], True),
        (8, [2], False),
        (8, [1, 3], False),
        (8, [2, 1], False),
        (8, [1, None], False),
    ],
)
def test_history_has_every_epoch_that_is_complete(
    step: int, epochs: list[Any], complete: bool, tmp_path: Path
) -> None:
    """But for the latest, which a checkpoint may precede."""
    trainer = trainer_of(tmp_path / "job")
    trainer.state.step = step
    trainer.state.history = [{"epoch": epoch, "loss": 1.0} for epoch in epochs]
    if complete:
        trainer.check_history()
        return
    with pytest.raises(JobFailed, match=f"at step {step} its history has") as caught:
        trainer.check_history()
    assert (caught.value.code, caught.value.failure_class) == (
        "incomplete_checkpoint",
        "infrastructure",
    )


def test_checkpoints_are_numbered_from_1(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "job")
    take_steps(trainer, 3)
    first = trainer.serialize_checkpoint()
    second = trainer.serialize_checkpoint()
    assert [(saved.number, saved.step) for saved in (first, second)] == [(1, 3), (2, 3)]
    resumed = trainer_of(tmp_path / "resumed")
    path = tmp_path / "checkpoint"
    path.write_bytes(second.data)
    resumed.resume(path)
    assert resumed.serialize_checkpoint().number == 3
    assert resumed.metrics.totals() == pytest.approx(trainer.metrics.totals())


def test_time_before_the_end_is_that_of_the_training(tmp_path: Path) -> None:
    """A checkpoint after the last epoch is one of the evaluation."""
    trainer = trainer_of(tmp_path / "job")
    take_steps(trainer, 1)
    trainer.serialize_checkpoint()
    assert "training" in trainer.state.seconds
    assert "evaluating" not in trainer.state.seconds
    for _ in trainer.train(lambda: False):
        pass
    trainer.serialize_checkpoint()
    assert "evaluating" in trainer.state.seconds


def test_resolved_job_is_what_the_trainer_gets(tmp_path: Path) -> None:
    spec = training_spec(method={"name": "pgd_at"}, schedule=PLAIN_SGD)
    assert trainer_of(tmp_path / "job").spec == resolve(spec, DIGITS)
