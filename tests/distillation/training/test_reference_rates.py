"""Learning rate and momentum of the adversarial training methods' presets, at every edge.

10 steps an epoch. A rate is that of the epoch's first step, unless the test says otherwise.
"""

from typing import Any

import pytest

from core.distillation.training.optimization import learning_rate_at, momentum_at
from core.jobspec.job import AdversarialTrainingSpec
from core.jobspec.training.schedule import Schedule

STEPS_PER_EPOCH = 10


def reference_schedule(method: str) -> Schedule:
    body: dict[str, Any] = {
        "student": {"architecture": "resnet18"},
        "data": {"dataset": "any"},
        "preset": "reference",
        "method": {"name": method},
    }
    return AdversarialTrainingSpec.model_validate(body).schedule


def rate_at(schedule: Schedule, step: int) -> float:
    steps = schedule.epochs * STEPS_PER_EPOCH
    return learning_rate_at(schedule, step, steps, STEPS_PER_EPOCH)


def momentum_of(schedule: Schedule, step: int) -> float:
    steps = schedule.epochs * STEPS_PER_EPOCH
    return momentum_at(schedule, step, steps, STEPS_PER_EPOCH)


@pytest.mark.parametrize(
    ("method", "rates"),
    [
        ("trades", {1: 0.1, 74: 0.1, 75: 0.01, 76: 0.01}),
        ("pgd_at", {1: 0.1, 100: 0.1, 101: 0.01, 150: 0.01, 151: 0.001, 200: 0.001}),
        ("at_prm", {1: 0.1, 35: 0.1, 36: 0.01, 38: 0.01, 39: 0.001, 40: 0.001}),
    ],
)
def test_rates_of_epochs_around_the_milestones(method: str, rates: dict[int, float]) -> None:
    """Epochs count from 1, and have one rate from their first to their last step."""
    schedule = reference_schedule(method)
    assert max(rates) == schedule.epochs
    for epoch, rate in rates.items():
        first = (epoch - 1) * STEPS_PER_EPOCH
        assert rate_at(schedule, first) == pytest.approx(rate)
        assert rate_at(schedule, first + STEPS_PER_EPOCH - 1) == pytest.approx(rate)
        assert momentum_of(schedule, first) == 0.9


def test_rate_of_n_fgsm_is_a_triangle() -> None:
    """Of 300 steps: from 0 in steps of 0.2 / 150 to 0.2, and back to one step above 0."""
    schedule = reference_schedule("n_fgsm")
    steps = {
        0: 0.0,
        1: 0.2 / 150,
        75: 0.1,
        150: 0.2,
        151: 0.2 * 149 / 150,
        225: 0.1,
        299: 0.2 / 150,
    }
    for step, rate in steps.items():
        assert rate_at(schedule, step) == pytest.approx(rate)
        assert momentum_of(schedule, step) == pytest.approx(0.9 - rate / 2)


def test_rate_of_score_changes_once_an_epoch() -> None:
    """Epochs 1 to 10 of 400 rise from 0.2 / 25 to 0.2, along half a cosine."""
    schedule = reference_schedule("score")
    rates = {1: 0.008, 10: 0.2, 400: 0.2 / 25e4}
    momenta = {1: 0.95, 10: 0.85, 400: 0.95}
    for epoch, rate in rates.items():
        for step in (0, 9):
            index = (epoch - 1) * STEPS_PER_EPOCH + step
            assert rate_at(schedule, index) == pytest.approx(rate)
            assert momentum_of(schedule, index) == pytest.approx(momenta[epoch])
    # A third of the way, (1 - cos(pi / 3)) / 2 = 1/4 of the rise.
    assert rate_at(schedule, 3 * STEPS_PER_EPOCH) == pytest.approx(0.008 + 0.192 / 4)
    # 130 of the 390 falling epochs after the tenth.
    assert rate_at(schedule, 139 * STEPS_PER_EPOCH) == pytest.approx(0.75 * 0.2, rel=1e-5)
