"""When a training counts as diverged: exact cases at the edges of every condition."""

import math
from typing import Any

import pytest
import torch

from core.distillation.training.divergence import Chance, DivergenceCheck, diverged_error
from core.jobspec.training.schedule import Schedule

TEN_PERCENT = Chance(images=100, share=0.1)


def check(chance: Chance = TEN_PERCENT, steps: int = 20, **schedule: Any) -> DivergenceCheck:
    settings = {"epochs": 10, "decay": {"name": "constant"}, **schedule}
    return DivergenceCheck(Schedule.model_validate(settings), steps, 10, chance)


def epoch(number: int, loss: float, clean: float | None = None, robust: float | None = None) -> Any:
    entry = {"epoch": number, "loss": loss}
    if clean is not None:
        entry |= {"held_out_clean": clean, "held_out_robust": clean if robust is None else robust}
    return entry


def constant_epochs(losses: list[float], clean: float = 0.1) -> list[dict[str, float]]:
    return [epoch(number, loss, clean) for number, loss in enumerate(losses, 1)]


COLLAPSED = [2.7, 2.5, 2.4, 2.4, 2.4]
"""Mean losses of five epochs, where the first step's loss was 2.4."""


# -- chance


def test_chance_is_the_share_of_the_most_frequent_class() -> None:
    labels_N = torch.tensor([2, 0, 2, 1, 2, 2, 0, 2, 1, 2])
    assert Chance.of(labels_N) == Chance(images=10, share=0.6)


def wilson_low(correct: int, images: int) -> float:
    """The lower root of |p - correct / images| = 1.96 sqrt(p (1 - p) / images)."""
    z = 1.959964
    share = correct / images
    a = 1 + z**2 / images
    b = -(2 * share + z**2 / images)
    return (-b - math.sqrt(b**2 - 4 * a * share**2)) / (2 * a)


def test_an_accuracy_is_chance_up_to_its_interval() -> None:
    """Of 100 images, 17 could be a guess's right answers where one in ten is, and 18 could not."""
    assert wilson_low(17, 100) < 0.11 < wilson_low(18, 100) < 0.12
    chance = Chance(images=100, share=0.11)
    assert chance.explains(0.17)
    assert not chance.explains(0.18)


@pytest.mark.parametrize(("correct", "is_chance"), [(0, True), (600, True), (630, True)])
def test_every_constant_prediction_is_chance(correct: int, is_chance: bool) -> None:
    assert Chance(images=1000, share=0.6).explains(correct / 1000) == is_chance


def test_five_points_above_the_majority_are_learned() -> None:
    assert wilson_low(650, 1000) > 0.6
    assert not Chance(images=1000, share=0.6).explains(0.65)


# -- a loss beyond reason


def test_a_hundredfold_loss_at_chance_has_diverged() -> None:
    divergence = check().judge([epoch(1, 250.1, 0.1)], first_loss=2.5)
    assert divergence is not None
    assert not divergence.recoverable
    assert "epoch 1 is 250, more than 100 times that of the first step (2.5)" in divergence.reason
    assert "10.0 %; the best guess, always the most frequent class, has 10.0 %" in divergence.reason
    assert check().judge([epoch(1, 250.0, 0.1)], first_loss=2.5) is None


def test_a_hundredfold_loss_above_chance_may_recover() -> None:
    for entry in (epoch(1, 251.0, 0.5), epoch(1, 251.0)):
        divergence = check().judge([entry], first_loss=2.5)
        assert divergence is not None
        assert divergence.recoverable


def test_only_the_latest_epoch_counts() -> None:
    history = [epoch(1, 1e9, 0.1), epoch(2, 2.0, 0.5)]
    assert check().judge(history, first_loss=2.5) is None


def test_a_loss_that_begins_near_0_is_compared_with_a_guess() -> None:
    """A student that starts from its teacher's weights: ln 10 is the scale of ten classes."""
    assert check().judge([epoch(1, 230.2, 0.1)], first_loss=1e-6) is None
    divergence = check().judge([epoch(1, 230.3, 0.1)], first_loss=1e-6)
    assert divergence is not None
    assert "more than 100 times the cross entropy of a guess (2.3)" in divergence.reason


def test_a_loss_that_begins_high_may_stay_high() -> None:
    assert check().judge([epoch(1, 9e6, 0.1), epoch(2, 9e6, 0.1)], first_loss=1e6) is None


def test_without_a_first_loss_the_first_epoch_stands_in() -> None:
    history = [epoch(1, 8.6, 0.1), epoch(2, 861.0, 0.1)]
    assert check().judge(history, first_loss=None) is not None
    assert check().judge(history[:1], first_loss=None) is None


# -- a collapse


@pytest.mark.parametrize("last", [epoch(5, 2.4, 0.1, 0.1), epoch(5, 2.4, 0.1, 0.098)])
def test_five_epochs_at_chance_with_a_risen_loss_have_collapsed(last: dict[str, float]) -> None:
    """Whether or not a single image is misclassified under attack alone."""
    history = [*constant_epochs(COLLAPSED[:4]), last]
    divergence = check().judge(history, first_loss=2.4)
    assert divergence is not None
    assert divergence.code == "diverged"
    assert "In 5 validated epochs, 1 to 5," in divergence.reason


@pytest.mark.parametrize(
    "losses",
    [[2.6, 2.6, 2.6, 2.4, 2.4], [2.7, 2.5, 2.4, 2.4, 2.1], [2.3026] * 5],
    ids=["never rose by a tenth", "is falling", "of a dead network"],
)
def test_long_at_chance_is_told_where_the_loss_may_fall(losses: list[float]) -> None:
    divergence = check().judge(constant_epochs(losses), first_loss=2.4)
    assert divergence is not None
    assert (divergence.code, divergence.recoverable) == ("at_chance", True)


@pytest.mark.parametrize(
    ("history", "changes"),
    [
        (constant_epochs(COLLAPSED[:4]), {}),
        ([*constant_epochs(COLLAPSED[:4]), epoch(5, 2.4)], {}),
        ([*constant_epochs(COLLAPSED[:4]), epoch(5, 2.4, 0.5, 0.1)], {}),
        (constant_epochs(COLLAPSED), {"steps": 19}),
        (constant_epochs(COLLAPSED), {"epochs": 101}),
        (constant_epochs(COLLAPSED), {"decay": {"name": "one_cycle", "rise": 0.3}}),
    ],
    ids=[
        "four epochs",
        "the fifth not validated",
        "the fifth above chance",
        "95 steps",
        "5 of 101 epochs",
        "while the rate rises",
    ],
)
def test_too_few_epochs_at_chance_say_nothing(
    history: list[dict[str, float]], changes: dict[str, Any]
) -> None:
    assert check(**changes).judge(history, first_loss=2.4) is None


def test_a_collapse_counts_from_the_end_of_the_rise() -> None:
    """The rate is highest at the end of epoch 3 of 10, so the two before it are the warm-up."""
    cycle = check(decay={"name": "one_cycle", "rise": 0.3})
    assert cycle.warm_up_epochs == 2
    assert cycle.judge(constant_epochs([*COLLAPSED, 2.4]), first_loss=2.4) is None
    assert cycle.judge(constant_epochs([*COLLAPSED, 2.4, 2.4]), first_loss=2.4) is not None


@pytest.mark.parametrize(
    "decay", [{"name": "constant"}, {"name": "cosine"}, {"name": "multi_step", "milestones": [5]}]
)
def test_a_rate_that_never_rises_has_no_warm_up(decay: dict[str, Any]) -> None:
    assert check(decay=decay).warm_up_epochs == 0


def test_epochs_that_are_not_validated_are_passed_over() -> None:
    history = [
        epoch(number, 2.5 + number % 2, 0.1 if number % 2 == 0 else None) for number in range(1, 11)
    ]
    assert check(epochs=20).judge(history, first_loss=2.4) is not None
    assert check(epochs=20).judge(history[:9], first_loss=2.4) is None


def test_always_naming_a_majority_of_60_percent_has_not_diverged() -> None:
    """Two unequal classes: constant for ten epochs, but with a loss that falls to its entropy."""
    chance = Chance(images=1000, share=0.6)
    losses = [0.70, 0.69, 0.68, 0.675, *[0.673] * 6]
    divergence = check(chance).judge(constant_epochs(losses, clean=0.6), first_loss=0.71)
    assert divergence is not None
    assert divergence.code == "at_chance"


def test_an_empty_history_is_no_divergence() -> None:
    assert check().judge([], first_loss=None) is None


def test_the_failure_advises_what_the_job_has_not_done() -> None:
    divergence = check().judge([epoch(1, 1e9, 0.1)], first_loss=2.5)
    assert divergence is not None
    error = diverged_error(divergence, Schedule(learning_rate=100.0))
    assert (error.code, error.failure_class) == ("diverged", "user")
    assert "A lower learning rate or clipped gradients" in error.message
    assert "schedule.learning_rate is 100." in error.message
    clipped = diverged_error(divergence, Schedule(max_gradient_norm=1.0))
    assert "A lower learning rate may help" in clipped.message
