"""Averages of a student's weights, their fresh statistics, and adversarial weight perturbation."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.distillation.training.averaging import WeightAverage, recompute_batch_norm
from core.distillation.training.weight_perturbation import perturbed_weights
from core.job_folder import EpochCompleted
from core.jobspec.resolved import ResolvedSwaSettings
from core.jobspec.training.averaging import EmaSettings
from tests.distillation.folders import distillation_spec, create_job_folder, run_job, training_spec
from tests.distillation.training.test_resume import StopAfter, assert_same_results


def one_weight(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(value)
    return layer


def averages(settings: EmaSettings | ResolvedSwaSettings, values: list[float]) -> list[float]:
    """The average after each of the weight's values, one a step and an epoch."""
    layer, found = one_weight(0.0), []
    average = WeightAverage(settings, layer)
    for epoch, value in enumerate(values, start=1):
        layer.weight.data.fill_(value)
        average.after_step()
        average.after_epoch(epoch)
        found.append(average.weights["weight"].item() if average.weights else float("nan"))
    return found


def test_ema_forgets_its_first_weights_soon_and_then_has_its_own_decay() -> None:
    # decay of the second addition: min(0.15, 2/11); of the third: min(0.15, 3/12).
    assert averages(EmaSettings(decay=0.15), [1.0, 2.0, 4.0]) == pytest.approx(
        [1.0, 0.15 + 1.7, 0.15 * 1.85 + 0.85 * 4]
    )
    assert averages(EmaSettings(decay=0.99), [1.0, 2.0])[1] == pytest.approx(2 / 11 + 2 * 9 / 11)


def test_swa_is_the_plain_mean_of_the_epochs_from_its_beginning_on() -> None:
    found = averages(ResolvedSwaSettings(begin=2), [10.0, 20.0, 1.0, 2.0, 6.0])
    assert found[2:] == pytest.approx([1.0, 1.5, 3.0])
    assert torch.tensor(found[:2]).isnan().all()


def test_fresh_statistics_are_the_plain_mean_over_the_batches_and_forget_all_before() -> None:
    norm = nn.BatchNorm2d(1, momentum=0.3)
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


def test_in_place_of_the_student_and_afterwards_it_is_as_it_was() -> None:
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = WeightAverage(EmaSettings(decay=0.5), student)
    average.after_step()
    before = copy.deepcopy(student.state_dict())
    with torch.no_grad():
        student[0].weight.add_(1.0)
    moved = copy.deepcopy(student.state_dict())
    with average.applied([torch.rand(4, 1, 2, 2)]):
        assert torch.equal(student[0].weight, before["0.weight"])
        assert not torch.equal(student[1].running_mean, before["1.running_mean"])
    assert all(torch.equal(value, moved[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize(
    "averaging",
    [{"name": "ema", "decay": 0.9}, {"name": "swa", "begin": 1}],
    ids=lambda it: it["name"],
)
def test_a_job_that_averages_goes_on_to_the_same_bits(
    averaging: dict[str, object], tmp_path: Path
) -> None:
    spec = training_spec(averaging=averaging, awp={"gamma": 0.01})
    whole, first = create_job_folder(tmp_path / "whole", spec), create_job_folder(tmp_path / "first", spec)
    run_job(whole)
    assert run_job(first, StopAfter(6)).outcome == "stopped"
    second = create_job_folder(tmp_path / "second", spec)
    second.checkpoint.write_bytes(sorted(first.output.glob("checkpoint-*"))[-1].read_bytes())
    assert run_job(second).outcome == "succeeded"
    assert_same_results(whole, second)


VARIANTS: dict[str, dict[str, object]] = {"plain": {}, "averaged": {"averaging": {"name": "ema"}}}


def test_what_is_selected_and_published_is_the_average(tmp_path: Path) -> None:
    folders = [create_job_folder(tmp_path / name, training_spec(**changes)) for name, changes in VARIANTS.items()]
    for folder in folders:
        run_job(folder)
    said = [folder.read_events()[0] for folder in folders]
    plain, averaged = (
        [it.values["held_out_clean"] for it in events if isinstance(it, EpochCompleted)]
        for events in said
    )
    assert plain != averaged
    assert len({(folder.output / "last.safetensors").read_bytes() for folder in folders}) == 2


# -- AWP


def test_weights_move_along_the_gradient_by_gamma_of_their_norm_and_come_back() -> None:
    layer = nn.Linear(2, 2)
    images = torch.tensor([[1.0, -2.0], [0.5, 3.0]])

    def loss() -> Tensor:
        return layer(images).square().sum()

    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    (gradient,) = torch.autograd.grad(loss(), [layer.weight])
    value = loss().item()
    with perturbed_weights(layer, 0.1, loss):
        expected = before["weight"] + 0.1 * before["weight"].norm() * gradient / gradient.norm()
        torch.testing.assert_close(layer.weight.detach(), expected)
        assert torch.equal(layer.bias, before["bias"])
        assert loss().item() > value
    assert all(torch.equal(value, before[name]) for name, value in layer.named_parameters())


def test_finding_the_perturbation_leaves_running_statistics_as_they_are() -> None:
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    before = {name: buffer.clone() for name, buffer in student.named_buffers()}
    with perturbed_weights(student, 0.1, lambda: student(torch.rand(4, 1, 2, 2)).square().sum()):
        pass
    assert all(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())


def test_awp_and_igdm_go_with_starship(tmp_path: Path) -> None:
    spec = distillation_spec(
        awp={"gamma": 0.01, "begin": 1}, igdm={"weight": 1.0}, averaging={"name": "ema"}
    )
    folder = create_job_folder(tmp_path / "job", spec)
    assert run_job(folder).outcome == "succeeded"
    losses = [event.values for event in folder.read_events()[0] if isinstance(event, EpochCompleted)]
    assert "loss_igdm" in losses[0]
