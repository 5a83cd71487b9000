"""Averages of a student's weights, batch norm recomputed for them, and AWP."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.distillation.training.averaging import WeightAverage, recompute_batch_norm
from core.distillation.training.weight_perturbation import perturbed_weights
from core.job_folder import EpochCompleted, JobFolder
from core.jobspec.resolved import ResolvedSwaSettings
from core.jobspec.training.averaging import EmaSettings
from tests.distillation.folders import (
    StopAfter,
    assert_same_results,
    create_job_folder,
    distillation_spec,
    newest_checkpoint,
    run_job,
    training_spec,
)


def one_weight(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(value)
    return layer


def averages(settings: EmaSettings | ResolvedSwaSettings, values: list[float]) -> list[float]:
    """Return the average after each of the weight's values, one per step and epoch.

    NaN where there is no average yet.
    """
    layer = one_weight(0.0)
    average = WeightAverage(settings, layer)
    results = []
    for epoch, value in enumerate(values, start=1):
        layer.weight.data.fill_(value)
        average.after_step()
        average.after_epoch(epoch)
        results.append(average.weights["weight"].item() if average.weights else float("nan"))
    return results


def test_ema_soon_forgets_its_first_weights() -> None:
    """Its decay grows to that of the settings."""
    # Decay of the second update: min(0.15, 2/11); of the third: min(0.15, 3/12).
    assert averages(EmaSettings(decay=0.15), [1.0, 2.0, 4.0]) == pytest.approx(
        [1.0, 0.15 + 1.7, 0.15 * 1.85 + 0.85 * 4]
    )
    assert averages(EmaSettings(decay=0.99), [1.0, 2.0])[1] == pytest.approx(2 / 11 + 2 * 9 / 11)


def test_ema_is_the_student_until_its_warmup_is_over() -> None:
    """Then it begins anew: with the weights of that step, and a decay of 2/11 in the next."""
    layer = one_weight(0.0)
    average = WeightAverage(EmaSettings(decay=0.99, warmup=0.5), layer)
    for step, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0], start=1):
        layer.weight.data.fill_(value)
        average.after_step(step / 6)
        if step <= 3:
            with average.applied([]):
                assert layer.weight.item() == value
        assert average.updates == max(0, step - 2)
    fourth = 3 * 2 / 11 + 4 * 9 / 11
    assert average.weights["weight"].item() == pytest.approx(fourth * 3 / 12 + 5 * 9 / 12)


def test_swa_is_the_plain_mean_of_epochs_from_its_first() -> None:
    results = averages(ResolvedSwaSettings(begin=2), [10.0, 20.0, 1.0, 2.0, 6.0])
    assert results[2:] == pytest.approx([1.0, 1.5, 3.0])
    assert torch.tensor(results[:2]).isnan().all()


def test_recomputed_statistics_are_the_mean_over_batches() -> None:
    """Earlier statistics are forgotten; momentum and mode stay as they were."""
    norm = nn.BatchNorm2d(1, momentum=0.3)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(100.0)
    batches = [
        torch.full((2, 1, 1, 1), value) + torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
        for value in (1.0, 5.0)
    ]
    recompute_batch_norm(norm.eval(), batches)
    assert norm.running_mean.item() == pytest.approx(3.0)
    assert norm.running_var.item() == pytest.approx(2.0)
    assert norm.momentum == 0.3
    assert not norm.training


def test_an_applied_average_is_taken_back_afterwards() -> None:
    convolution = nn.Conv2d(1, 2, 1)
    norm = nn.BatchNorm2d(2)
    assert norm.running_mean is not None
    student = nn.Sequential(convolution, norm)
    average = WeightAverage(EmaSettings(decay=0.5), student)
    average.after_step()
    before = copy.deepcopy(student.state_dict())
    with torch.no_grad():
        convolution.weight.add_(1.0)
    moved = copy.deepcopy(student.state_dict())
    with average.applied([torch.rand(4, 1, 2, 2)]):
        assert torch.equal(convolution.weight, before["0.weight"])
        assert not torch.equal(norm.running_mean, before["1.running_mean"])
    assert all(torch.equal(value, moved[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize(
    "averaging",
    [
        {"name": "ema", "decay": 0.9},
        {"name": "ema", "decay": 0.9, "warmup": 0.7},
        {"name": "swa", "begin": 1},
    ],
    ids=["ema", "ema-warmup", "swa"],
)
def test_a_resumed_job_with_averaging_gives_the_same_bits(
    averaging: dict[str, object], tmp_path: Path
) -> None:
    spec = training_spec(averaging=averaging, awp={"gamma": 0.01})
    uninterrupted = create_job_folder(tmp_path / "uninterrupted", spec)
    first = create_job_folder(tmp_path / "first", spec)
    run_job(uninterrupted)
    assert run_job(first, StopAfter(6)).outcome == "stopped"
    second = create_job_folder(tmp_path / "second", spec)
    second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    assert run_job(second).outcome == "succeeded"
    assert_same_results(uninterrupted, second)


def held_out_accuracies(folder: JobFolder) -> list[float]:
    """Return the clean accuracy on held-out images of each epoch."""
    events, _ = folder.read_events()
    epochs = [event for event in events if isinstance(event, EpochCompleted)]
    return [epoch.values["held_out_clean"] for epoch in epochs]


def test_the_average_is_selected_and_published(tmp_path: Path) -> None:
    plain = create_job_folder(tmp_path / "plain", training_spec())
    averaged = create_job_folder(tmp_path / "averaged", training_spec(averaging={"name": "ema"}))
    run_job(plain)
    run_job(averaged)
    assert held_out_accuracies(plain) != held_out_accuracies(averaged)
    weights = {(folder.output / "last.safetensors").read_bytes() for folder in (plain, averaged)}
    assert len(weights) == 2


# -- AWP


def test_awp_perturbs_by_gamma_of_the_norm_and_restores() -> None:
    """Along the gradient; vectors are not perturbed."""
    layer = nn.Linear(2, 2)
    images = torch.tensor([[1.0, -2.0], [0.5, 3.0]])

    def loss() -> Tensor:
        outputs: Tensor = layer(images)
        return outputs.square().sum()

    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    (gradient,) = torch.autograd.grad(loss(), [layer.weight])
    value = loss().item()
    with perturbed_weights(layer, 0.1, loss):
        expected = before["weight"] + 0.1 * before["weight"].norm() * gradient / gradient.norm()
        torch.testing.assert_close(layer.weight.detach(), expected)
        assert torch.equal(layer.bias, before["bias"])
        assert loss().item() > value
    assert all(torch.equal(value, before[name]) for name, value in layer.named_parameters())


def test_awp_does_not_update_running_statistics() -> None:
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()

    def loss() -> Tensor:
        outputs: Tensor = student(torch.rand(4, 1, 2, 2))
        return outputs.square().sum()

    before = {name: buffer.clone() for name, buffer in student.named_buffers()}
    with perturbed_weights(student, 0.1, loss):
        pass
    assert all(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())


def test_awp_and_igdm_go_with_starship(tmp_path: Path) -> None:
    spec = distillation_spec(
        awp={"gamma": 0.01, "begin": 1}, igdm={"weight": 1.0}, averaging={"name": "ema"}
    )
    folder = create_job_folder(tmp_path / "job", spec)
    assert run_job(folder).outcome == "succeeded"
    events, _ = folder.read_events()
    epochs = [event.values for event in events if isinstance(event, EpochCompleted)]
    assert "loss_igdm" in epochs[0]
