"""The reference presets against the figures that the methods' authors give, and how a caller's own settings override them."""

from typing import Any

import pytest

from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec
from core.jobspec.training.methods import METHODS
from core.jobspec.training.presets import REFERENCE_SETTINGS

COMMON: dict[str, Any] = {
    "student": {"architecture": "resnet18"},
    "data": {"dataset": "cifar10"},
    "preset": "reference",
}
TRAINING = ("trades", "pgd_at", "score", "n_fgsm", "at_prm")


def job(name: str, **changes: Any) -> Any:
    body = {**COMMON, "method": {"name": name}, **changes}
    return (
        AdversarialTrainingSpec.model_validate(body)
        if name in TRAINING
        else DistillationSpec.model_validate({"teacher": "t", **body})
    )


def test_every_method_has_a_reference() -> None:
    assert REFERENCE_SETTINGS.keys() == METHODS.keys()


@pytest.mark.parametrize("method", METHODS)
def test_every_reference_is_a_job_on_the_ball_of_the_literature(method: str) -> None:
    found = job(method)
    assert found.adversary.radius == pytest.approx(8 / 255)
    assert found.schedule.batch_size == 128


def test_ard_attacks_in_train_mode_averages_over_classes_and_lowers_its_rate_once() -> None:
    found = job("ard")
    assert (found.method.alpha, found.method.temperature, found.method.reduction) == (
        1.0,
        30.0,
        "mean",
    )
    assert (found.adversary.start, found.adversary.student_mode, found.adversary.steps) == (
        "uniform",
        "train",
        10,
    )
    assert (
        found.schedule.epochs,
        found.schedule.decay.milestones,
        found.schedule.decay.factor,
    ) == (200, (100,), 0.1)


def test_iad_looks_into_itself_from_epoch_60_on() -> None:
    found = job("iad")
    assert (found.method.begin, found.method.exponent, found.method.weigh_teacher) == (
        60,
        0.1,
        False,
    )
    assert (found.adversary.student_mode, found.schedule.epochs) == ("train", 200)


def test_rslad_trains_300_epochs() -> None:
    found = job("rslad")
    assert found.method.clean_weight == pytest.approx(1 / 6)
    assert found.method.reduction == "mean"
    assert (found.schedule.epochs, found.schedule.weight_decay) == (300, 2e-4)
    assert found.schedule.decay.milestones == (215, 260, 285)
    assert (found.adversary.start, found.adversary.student_mode) == ("gaussian", "eval")


def test_adaad_lowers_its_rate_at_100_and_150() -> None:
    found = job("adaad")
    assert (found.method.alpha, found.method.reduction) == (1.0, "mean")
    assert (
        found.schedule.epochs,
        found.schedule.weight_decay,
        found.schedule.decay.milestones,
    ) == (200, 5e-4, (100, 150))


def test_score_keeps_a_moving_average_and_trades_has_beta_6() -> None:
    assert job("score").method.beta == 3.0
    assert job("score").averaging.name == "ema"
    assert job("trades").method.beta == 6.0


def test_what_the_caller_says_overrides_the_preset_field_by_field() -> None:
    found = job(
        "rslad",
        schedule={"epochs": 10, "decay": {"name": "cosine"}},
        method={"name": "rslad", "clean_weight": 0.5},
    )
    assert (found.schedule.epochs, found.schedule.weight_decay, found.schedule.decay.name) == (
        10,
        2e-4,
        "cosine",
    )
    assert (found.method.clean_weight, found.method.reduction) == (0.5, "mean")


def test_another_adversary_takes_nothing_of_the_presets_own() -> None:
    assert job("ard", adversary={"name": "n_fgsm"}).adversary.student_mode == "eval"


def test_without_a_preset_all_methods_have_the_same_adversary_and_schedule_but_n_fgsm() -> None:
    for method in METHODS:
        found = job(method, preset=None)
        assert found.schedule == job("starship").schedule
        assert found.adversary.name == ("n_fgsm" if method == "n_fgsm" else "pgd")


def test_a_stored_spec_is_read_back_as_it_was() -> None:
    for method in METHODS:
        found = job(method)
        assert type(found).model_validate(found.model_dump(mode="json")) == found
