"""An epoch's metrics, the first step that was not finite, and the term that is to blame."""

import math

import pytest
import torch
from torch import Tensor, nn

from core.distillation.methods import LossTerm, MethodLoss
from core.distillation.training.non_finite import (
    gradient_norm,
    non_finite_error,
    trained_parameters,
)
from core.distillation.training.running_metrics import RunningMetrics

NAN = math.nan
INF = math.inf


def loss_of(one: float, two: float, **metrics: float) -> MethodLoss:
    terms = {"one": LossTerm(1.0, torch.tensor(one)), "two": LossTerm(0.5, torch.tensor(two))}
    return MethodLoss(terms, {name: torch.tensor(value) for name, value in metrics.items()})


def add(metrics: RunningMetrics, step: int, loss: MethodLoss, norm: float = 1.0) -> float:
    """Add a step and return what the optimizer is told: 1 for a step that must update nothing."""
    return metrics.add(step, loss, loss.total, torch.tensor(norm)).item()


def test_metrics_are_summed_over_steps_by_hand() -> None:
    metrics = RunningMetrics()
    assert (metrics.totals(), metrics.latest_values()) == ({}, {})
    assert metrics.first_non_finite_step() is None
    assert add(metrics, 0, loss_of(1.0, 4.0, trust=0.25)) == 0.0
    assert add(metrics, 1, loss_of(2.0, -2.0, trust=0.5)) == 0.0
    assert metrics.totals() == {"loss": 4.0, "loss_one": 3.0, "loss_two": 2.0, "trust": 0.75}
    assert metrics.latest_values() == {
        "loss": 1.0,
        "loss_one": 2.0,
        "loss_two": -2.0,
        "trust": 0.5,
    }
    assert metrics.first_non_finite_step() is None


def test_sums_go_on_from_those_of_a_checkpoint() -> None:
    metrics = RunningMetrics({"loss": 10.0, "loss_one": 0.5})
    assert metrics.totals() == {"loss": 10.0, "loss_one": 0.5}
    add(metrics, 3, loss_of(1.0, 4.0))
    assert metrics.totals() == {"loss": 13.0, "loss_one": 1.5, "loss_two": 4.0}


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_value_that_is_not_finite_counts_as_0(value: float) -> None:
    metrics = RunningMetrics()
    add(metrics, 0, loss_of(1.0, 2.0, trust=0.5))
    add(metrics, 1, loss_of(2.0, 2.0, trust=value))
    assert metrics.totals()["trust"] == 0.5
    assert "trust" not in metrics.latest_values()
    # A metric is no part of the loss, so the step counts as finite.
    assert metrics.first_non_finite_step() is None


@pytest.mark.parametrize(
    ("loss", "norm"), [(loss_of(NAN, 1.0), 1.0), (loss_of(1.0, 1.0), INF), (loss_of(1.0, 1.0), NAN)]
)
def test_first_step_that_is_not_finite_is_remembered(loss: MethodLoss, norm: float) -> None:
    """It and all later steps update nothing."""
    metrics = RunningMetrics()
    assert add(metrics, 4, loss_of(1.0, 1.0)) == 0.0
    assert add(metrics, 5, loss, norm) == 1.0
    assert add(metrics, 6, loss_of(1.0, 1.0)) == 1.0
    assert add(metrics, 7, loss_of(NAN, 1.0)) == 1.0
    assert metrics.first_non_finite_step() == 5


def test_very_first_step_may_be_the_one() -> None:
    metrics = RunningMetrics()
    assert add(metrics, 0, loss_of(INF, 1.0)) == 1.0
    assert metrics.first_non_finite_step() == 0


# -- gradients


def test_gradient_norm_is_that_of_all_gradients_together() -> None:
    """Of the parameters that are trained and have one: sqrt(9 + 16 + 144) = 13."""
    weights = [
        nn.Parameter(torch.zeros(2)),
        nn.Parameter(torch.zeros(1)),
        nn.Parameter(torch.ones(1)),
    ]
    frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": [*weights[1:], frozen]}], lr=1)
    weights[0].grad = torch.tensor([3.0, -4.0])
    weights[1].grad = torch.tensor([12.0])
    frozen.grad = torch.tensor([100.0])
    assert gradient_norm(optimizer).item() == pytest.approx(13.0)
    trained = trained_parameters(optimizer)
    assert [id(weight) for weight in trained] == [id(weight) for weight in weights]


def terms_of(values: dict[str, Tensor]) -> MethodLoss:
    return MethodLoss({name: LossTerm(1.0, value) for name, value in values.items()})


def test_term_with_a_value_that_is_not_finite_comes_first() -> None:
    """Before a term whose gradient alone is not finite."""
    weight = nn.Parameter(torch.tensor(0.0))
    loss = terms_of({"steep": weight.sqrt(), "wrong": weight * NAN, "worse": weight * INF})
    error = non_finite_error(loss, [weight], step=7)
    assert error.message == (
        "The loss term wrong became nan at step 7; the weights were not updated. "
        "A lower learning rate or a smaller weight of the term may help."
    )
    assert (error.code, error.failure_class) == ("non_finite_loss", "user")


def test_term_with_a_gradient_that_is_not_finite_is_named() -> None:
    weight = nn.Parameter(torch.tensor([0.0, 1.0]))
    unused = nn.Parameter(torch.tensor(1.0))
    loss = terms_of({"flat": (2 * weight).sum(), "steep": weight.sqrt().sum()})
    error = non_finite_error(loss, [unused, weight], step=3)
    assert error.message.startswith("The gradient of the loss term steep is not finite at step 3;")


def test_sum_of_finite_gradients_may_be_to_blame() -> None:
    weight = nn.Parameter(torch.tensor(1.0))
    loss = terms_of({"one": 3e38 * weight / 2, "two": 3e38 * weight / 2})
    error = non_finite_error(loss, [weight], step=2)
    assert error.message.startswith("The sum of the loss terms' gradients is not finite at step 2;")
