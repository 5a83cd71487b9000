"""`preset: reference` of the adversarial training methods: every setting, and the rate it gives.

Read from the authors' code at the commits that docs/methods.md names.
"""

from typing import Any

import pytest

from core.jobspec.defaults import resolve
from core.jobspec.job import parse_submitted
from core.jobspec.resolved import ResolvedAdversarialTrainingSpec, parse
from tests.builders import dataset_description

VIT = {"architecture": "deit_s", "image_size": 32, "patch_size": 4}
DEFAULTS: dict[str, Any] = {
    "nesterov": False,
    "batch_norm_weight_decay": None,
    "max_gradient_norm": None,
    "precision": "fp32",
}


def body(method: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "adversarial_training",
        "student": VIT if method == "at_prm" else {"architecture": "resnet18"},
        "data": {"dataset": "any"},
        "preset": "reference",
        "method": {"name": method},
        **changes,
    }


def reference(method: str, classes: int = 10, **changes: Any) -> ResolvedAdversarialTrainingSpec:
    """Return a job by the preset, as it is stored."""
    submitted = parse_submitted(body(method, **changes))
    spec = resolve(submitted, dataset_description(classes=classes))
    assert isinstance(spec, ResolvedAdversarialTrainingSpec)
    return spec


def optimization(spec: ResolvedAdversarialTrainingSpec) -> dict[str, Any]:
    """Return the settings of the schedule that change what is learned."""
    names = (
        "epochs",
        "batch_size",
        "learning_rate",
        "momentum",
        "weight_decay",
        "decay",
        *DEFAULTS,
    )
    settings = spec.schedule.model_dump()
    return {name: settings[name] for name in names}


def pgd(radius: float, step_size: float, start: str, student_mode: str) -> dict[str, Any]:
    return {
        "name": "pgd",
        "radius": radius,
        "step_size": step_size,
        "steps": 10,
        "start": start,
        "student_mode": student_mode,
    }


def multi_step(*milestones: int) -> dict[str, Any]:
    return {"name": "multi_step", "milestones": milestones, "factor": 0.1}


@pytest.mark.parametrize("classes", [10, 100])
def test_reference_of_trades(classes: int) -> None:
    """Its epochs count from 1, and the 75th is the first of the lower rate."""
    spec = reference("trades", classes)
    assert spec.method.model_dump() == {"name": "trades", "beta": 6.0, "statistics_passes": True}
    assert spec.adversary.model_dump() == pgd(0.031, 0.007, "gaussian", "eval")
    assert optimization(spec) == {
        **DEFAULTS,
        "epochs": 76,
        "batch_size": 128,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 2e-4,
        "decay": multi_step(74),
    }
    assert (spec.averaging, spec.awp) == (None, None)


@pytest.mark.parametrize("classes", [10, 100])
def test_reference_of_pgd_at(classes: int) -> None:
    """Attacked in train mode, from a uniform start."""
    spec = reference("pgd_at", classes)
    assert spec.method.model_dump() == {"name": "pgd_at", "statistics_passes": True}
    assert spec.adversary.model_dump() == pgd(8 / 255, 2 / 255, "uniform", "train")
    assert optimization(spec) == {
        **DEFAULTS,
        "epochs": 200,
        "batch_size": 128,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "decay": multi_step(100, 150),
    }
    assert (spec.averaging, spec.awp) == (None, None)


@pytest.mark.parametrize("classes", [10, 100])
def test_reference_of_score(classes: int) -> None:
    spec = reference("score", classes)
    assert spec.method.model_dump() == {"name": "score", "beta": 3.0}
    assert spec.adversary.model_dump() == pgd(8 / 255, 2 / 255, "uniform", "train_untracked")
    assert optimization(spec) == {
        **DEFAULTS,
        "epochs": 400,
        "batch_size": 512,
        "learning_rate": 0.2,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "batch_norm_weight_decay": 0.0,
        "decay": {
            "name": "one_cycle",
            "rise": 0.025,
            "cycle_momentum": True,
            "update": "epoch",
        },
    }
    assert spec.averaging is not None
    assert spec.averaging.model_dump() == {"name": "ema", "decay": 0.995, "warmup": 0.025}
    assert spec.awp is None


@pytest.mark.parametrize("classes", [10, 100])
def test_reference_of_n_fgsm(classes: int) -> None:
    """Its noise is clamped before the gradient, and its rate is a triangle."""
    spec = reference("n_fgsm", classes)
    assert spec.method.model_dump() == {"name": "n_fgsm"}
    assert spec.adversary.model_dump() == {
        "name": "n_fgsm",
        "radius": 8 / 255,
        "step_factor": 1.0,
        "noise_factor": 2.0,
        "clamp_noise": True,
        "student_mode": "train",
    }
    assert optimization(spec) == {
        **DEFAULTS,
        "epochs": 30,
        "batch_size": 128,
        "learning_rate": 0.2,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "decay": {"name": "triangular", "rise": 0.5, "cycle_momentum": True},
    }
    assert (spec.averaging, spec.awp) == (None, None)


def test_reference_of_at_prm() -> None:
    """The rate falls after 35 and 38 of 40 epochs, and gradients are clipped."""
    spec = reference("at_prm")
    assert spec.method.model_dump() == {
        "name": "at_prm",
        "masked": 1.0,
        "ramp_epochs": 10,
        "mixup": 0.8,
        "cutmix": 1.0,
        "mixing_probability": 0.3,
        "label_smoothing": 0.0,
    }
    assert spec.adversary.model_dump() == pgd(8 / 255, 2 / 255, "uniform", "eval")
    assert optimization(spec) == {
        **DEFAULTS,
        "epochs": 40,
        "batch_size": 64,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "max_gradient_norm": 1.0,
        "decay": multi_step(35, 38),
    }
    assert (spec.averaging, spec.awp) == (None, None)


def test_own_settings_of_a_reference_are_kept() -> None:
    spec = reference(
        "score",
        adversary={"name": "pgd", "radius": "4/255"},
        schedule={"nesterov": False, "decay": {"name": "one_cycle", "rise": 0.1}},
        averaging={"name": "ema", "warmup": 0.0},
    )
    assert spec.adversary.model_dump() == pgd(4 / 255, 2 / 255, "uniform", "train_untracked")
    assert (spec.schedule.nesterov, spec.schedule.epochs) == (False, 400)
    assert spec.schedule.decay.model_dump() == {
        "name": "one_cycle",
        "rise": 0.1,
        "cycle_momentum": True,
        "update": "epoch",
    }
    assert spec.averaging is not None
    assert spec.averaging.model_dump() == {"name": "ema", "decay": 0.995, "warmup": 0.0}


def test_averaging_of_another_kind_or_none_is_kept() -> None:
    assert reference("score", averaging=None).averaging is None
    averaging = reference("score", averaging={"name": "swa"}).averaging
    assert averaging is not None
    assert averaging.model_dump() == {"name": "swa", "begin": 300}


NEW_SETTINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "trades": {"method": ("statistics_passes",)},
    "pgd_at": {"method": ("statistics_passes",)},
    "score": {"averaging": ("warmup",)},
    "n_fgsm": {"adversary": ("clamp_noise",)},
    "at_prm": {"method": ("mixing_probability",)},
}
DEFAULTS_OF_NEW_SETTINGS = {
    "statistics_passes": False,
    "warmup": 0.0,
    "clamp_noise": False,
    "mixing_probability": 1.0,
    "batch_norm_weight_decay": None,
    "max_gradient_norm": None,
}


@pytest.mark.parametrize("method", NEW_SETTINGS)
def test_reference_stored_by_an_earlier_release_stays_as_it_was(method: str) -> None:
    """What it lacks gets the default that does what that release did, not today's preset."""
    stored = reference(method).model_dump(mode="json")
    parts = {"schedule": ("batch_norm_weight_decay", "max_gradient_norm"), **NEW_SETTINGS[method]}
    for part, names in parts.items():
        for name in names:
            del stored[part][name]
    stored["schedule"]["decay"].pop("update", None)
    spec = parse(stored).model_dump()
    for part, names in parts.items():
        for name in names:
            assert spec[part][name] == DEFAULTS_OF_NEW_SETTINGS[name]
    assert spec["schedule"]["decay"].get("update", "step") == "step"
