"""Modes of a network during an attack, and what they do to batch norms."""

import copy
from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from core.distillation.forward import Precision
from core.distillation.network_modes import (
    attack_mode,
    convolution_precision,
    loaded_weights,
)
from core.jobspec.training.adversary import AttackMode


def small_network() -> nn.Sequential:
    """A batch norm whose running mean is 10, between dropouts."""
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(1), nn.Dropout(0.5))
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    norm.running_mean.fill_(10.0)
    return network


def images() -> Tensor:
    return torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("was_training", [True, False])
@pytest.mark.parametrize(
    ("mode", "training"), [("eval", False), ("train", True), ("train_untracked", True)]
)
def test_all_modules_are_in_the_mode_and_back(
    mode: AttackMode, training: bool, was_training: bool
) -> None:
    network = small_network().train(was_training)
    with attack_mode(network, mode):
        assert [module.training for module in network.modules()] == [training] * 4
    assert [module.training for module in network.modules()] == [was_training] * 4


def test_eval_normalizes_by_running_statistics() -> None:
    norm = small_network()[1]
    with attack_mode(norm, "eval"):
        output = norm(images())
    torch.testing.assert_close(output, (images() - 10) / (1 + 1e-5) ** 0.5)


@pytest.mark.parametrize("mode", ["train", "train_untracked"])
def test_train_modes_normalize_by_the_batch(mode: AttackMode) -> None:
    norm = small_network()[1]
    with attack_mode(norm, mode):
        output = norm(images())
    expected = (images() - images().mean()) / (images().var(correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(output, expected)


@pytest.mark.parametrize(
    ("mode", "mean", "count"), [("eval", 10.0, 0), ("train", None, 2), ("train_untracked", 10.0, 0)]
)
def test_only_train_mode_moves_running_statistics(
    mode: AttackMode, mean: float | None, count: int
) -> None:
    """By a tenth of the way to the batch's mean, twice."""
    norm = small_network()[1]
    assert isinstance(norm, nn.BatchNorm2d)
    before = copy.deepcopy(norm.state_dict())
    with attack_mode(norm, mode):
        norm(images())
        norm(images())
    batch_mean = images().mean().item()
    expected = batch_mean + 0.81 * (10 - batch_mean) if mean is None else mean
    assert norm.running_mean is not None
    assert norm.num_batches_tracked is not None
    assert norm.running_mean.item() == pytest.approx(expected)
    assert norm.num_batches_tracked.item() == count
    assert norm.momentum == 0.1
    if mode != "train":
        assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_statistics_are_tracked_again_after_an_untracked_attack() -> None:
    norm = small_network()[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    with attack_mode(norm, "train_untracked"):
        norm(images())
    norm.train()(images())
    assert norm.running_mean.item() == pytest.approx(9 + 0.1 * images().mean().item())


# -- weights and precision


def test_loaded_weights_are_taken_back_even_after_an_error() -> None:
    network = small_network()
    before = copy.deepcopy(network.state_dict())
    weights = {name: value + 1 for name, value in before.items()}
    with suppress(ZeroDivisionError), loaded_weights(network, weights):
        assert all(torch.equal(v, weights[name]) for name, v in network.state_dict().items())
        raise ZeroDivisionError
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("precision", "allowed"), [("tf32", True), ("fp32", False), ("bf16", False)]
)
def test_convolutions_use_tf32_only_where_they_may(
    precision: Precision, allowed: bool, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with suppress(ZeroDivisionError), convolution_precision(precision):
        assert torch.backends.cudnn.allow_tf32 is allowed
        raise ZeroDivisionError
    assert torch.backends.cudnn.allow_tf32 is before
