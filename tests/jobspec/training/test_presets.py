"""Reference presets have the numbers of the methods' authors; a caller's settings override them."""

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


def preset_spec(name: str, **changes: Any) -> Any:
    body = {**COMMON, "method": {"name": name}, **changes}
    return (
        AdversarialTrainingSpec.model_validate(body)
        if name in TRAINING
        else DistillationSpec.model_validate({"teacher": "t", **body})
    )


def test_every_method_has_a_reference() -> None:
    assert REFERENCE_SETTINGS.keys() == METHODS.keys()


@pytest.mark.parametrize("method", METHODS)
def test_every_reference_has_radius_8_255(method: str) -> None:
    spec = preset_spec(method)
    assert spec.adversary.radius == pytest.approx(8 / 255)
    assert spec.schedule.batch_size == 128


def test_reference_of_ard() -> None:
    """It attacks in train mode, averages over classes, and has one milestone."""
    spec = preset_spec("ard")
    assert (spec.method.alpha, spec.method.temperature, spec.method.reduction) == (
        1.0,
        30.0,
        "mean",
    )
    assert (spec.adversary.start, spec.adversary.student_mode, spec.adversary.steps) == (
        "uniform",
        "train",
        10,
    )
    assert (
        spec.schedule.epochs,
        spec.schedule.decay.milestones,
        spec.schedule.decay.factor,
    ) == (200, (100,), 0.1)


def test_reference_of_iad() -> None:
    """Introspection begins after 60 epochs."""
    spec = preset_spec("iad")
    assert (spec.method.begin, spec.method.exponent, spec.method.weigh_teacher) == (
        60,
        0.1,
        False,
    )
    assert (spec.adversary.student_mode, spec.schedule.epochs) == ("train", 200)


def test_reference_of_rslad() -> None:
    """It trains 300 epochs."""
    spec = preset_spec("rslad")
    assert spec.method.clean_weight == pytest.approx(1 / 6)
    assert spec.method.reduction == "mean"
    assert (spec.schedule.epochs, spec.schedule.weight_decay) == (300, 2e-4)
    assert spec.schedule.decay.milestones == (215, 260, 285)
    assert (spec.adversary.start, spec.adversary.student_mode) == ("gaussian", "eval")


def test_reference_of_adaad() -> None:
    """Its milestones are 100 and 150."""
    spec = preset_spec("adaad")
    assert (spec.method.alpha, spec.method.reduction) == (1.0, "mean")
    assert (
        spec.schedule.epochs,
        spec.schedule.weight_decay,
        spec.schedule.decay.milestones,
    ) == (200, 5e-4, (100, 150))


def test_references_of_score_and_trades() -> None:
    """SCORE has a moving average; the beta of TRADES is 6."""
    assert preset_spec("score").method.beta == 3.0
    assert preset_spec("score").averaging.name == "ema"
    assert preset_spec("trades").method.beta == 6.0


def test_caller_overrides_the_preset_field_by_field() -> None:
    spec = preset_spec(
        "rslad",
        schedule={"epochs": 10, "decay": {"name": "cosine"}},
        method={"name": "rslad", "clean_weight": 0.5},
    )
    assert (spec.schedule.epochs, spec.schedule.weight_decay, spec.schedule.decay.name) == (
        10,
        2e-4,
        "cosine",
    )
    assert (spec.method.clean_weight, spec.method.reduction) == (0.5, "mean")


def test_other_adversary_gets_nothing_from_the_preset() -> None:
    assert preset_spec("ard", adversary={"name": "n_fgsm"}).adversary.student_mode == "eval"


def test_methods_without_preset_share_one_schedule() -> None:
    """And one adversary, but for n_fgsm."""
    for method in METHODS:
        spec = preset_spec(method, preset=None)
        assert spec.schedule == preset_spec("starship").schedule
        assert spec.adversary.name == ("n_fgsm" if method == "n_fgsm" else "pgd")


def test_spec_with_preset_survives_a_round_trip() -> None:
    for method in METHODS:
        spec = preset_spec(method)
        assert type(spec).model_validate(spec.model_dump(mode="json")) == spec
