"""Reference presets have the numbers of the methods' authors; a caller's settings override them.

Their numbers, setting by setting, are in test_distillation_presets.py and
test_adversarial_training_presets.py.
"""

from typing import Any

from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec
from core.jobspec.resolved import parse
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
    assert (spec.method.clean_weight, spec.method.reduction) == (0.5, "batch_mean_over_10")


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


def test_default_method_has_its_preset_too() -> None:
    """A body without a method is as one that names the default."""
    spec = AdversarialTrainingSpec.model_validate(COMMON)
    assert spec == preset_spec("trades")
    assert (spec.adversary.radius, spec.schedule.epochs) == (0.031, 76)


def test_hand_made_spec_gets_what_its_method_implies() -> None:
    """In a job folder a person may leave fields out that a stored spec always has."""
    spec: Any = parse(
        {
            "kind": "adversarial_training",
            "preset": "reference",
            "method": {"name": "n_fgsm"},
            "student": {"architecture": "small_cnn"},
            "data": {"dataset": "d", "augmentation": {}},
            "evaluation": {"attacks": []},
        }
    )
    assert (spec.adversary.name, spec.schedule.epochs) == ("n_fgsm", 30)
