"""Defaults that depend on other fields, and what a job costs: by hand."""

from typing import Any

import pytest

from core.jobspec.data import DIGITS, Augmentation, ResizedCrop
from core.jobspec.defaults import default_augmentation, resolve, usual_step_size
from core.jobspec.evaluation import (
    AutoAttack,
    Calibration,
    CwAttack,
    Examples,
    GradCam,
    GradientMasking,
    PgdAttack,
    Spectra,
    Transfer,
)
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, EvaluationJobSpec
from core.jobspec.resolved import (
    ResolvedAutoAttack,
    ResolvedCwAttack,
    ResolvedEvaluationJobSpec,
    ResolvedIadSettings,
    ResolvedPgdAttack,
    ResolvedRadiusSweep,
    ResolvedSwaSettings,
    ResolvedVarianceGap,
)
from core.jobspec.training.averaging import EmaSettings
from core.jobspec.training.presets import apply_preset
from core.jobspec.training.starship import ProjectionHeadSettings, StarshipSettings
from tests.builders import dataset_description

COMMON: dict[str, Any] = {
    "student": {"architecture": "small_cnn", "width": 4},
    "data": {"dataset": "digits"},
}


def training(**changes: Any) -> AdversarialTrainingSpec:
    return AdversarialTrainingSpec.model_validate({**COMMON, **changes})


def distillation(**changes: Any) -> DistillationSpec:
    return DistillationSpec.model_validate({"teacher": "t", **COMMON, **changes})


# -- attacks


def resolved_attacks(*attacks: dict[str, Any], radius: float = 0.1) -> list[Any]:
    body = {"adversary": {"name": "pgd", "radius": radius}, "evaluation": {"attacks": attacks}}
    return list(resolve(training(**body), DIGITS).evaluation.attacks)


def test_attack_has_its_own_radius_or_the_adversarys() -> None:
    own_pgd, own_cw, own_autoattack, l2, pgd, cw, autoattack = resolved_attacks(
        {"name": "pgd", "radius": 0.2},
        {"name": "cw", "radius": 0.3},
        {"name": "autoattack", "radius": 0.4},
        {"name": "autoattack", "norm": "l2", "radius": 2.0},
        {"name": "pgd"},
        {"name": "cw"},
        {"name": "autoattack"},
    )
    assert isinstance(own_pgd, ResolvedPgdAttack)
    assert isinstance(own_cw, ResolvedCwAttack)
    assert (own_pgd.radius, own_cw.radius) == (0.2, 0.3)
    assert own_pgd.step_size == pytest.approx(0.05)
    assert own_cw.step_size == pytest.approx(0.3 * 0.003 * 255 / 8)
    assert own_autoattack == ResolvedAutoAttack(radius=0.4)
    assert l2 == ResolvedAutoAttack(norm="l2", radius=2.0)
    assert (pgd.radius, cw.radius, autoattack.radius) == (0.1, 0.1, 0.1)
    assert pgd.step_size == pytest.approx(0.025)


def test_attack_of_radius_0_keeps_it() -> None:
    """0 is a radius: the clean images."""
    (attack,) = resolved_attacks({"name": "pgd", "radius": 0})
    assert (attack.radius, attack.step_size) == (0.0, 0.0)


def test_attack_keeps_all_that_is_set() -> None:
    pgd, cw = resolved_attacks(
        {"name": "pgd", "step_size": 0.5, "steps": 7, "restarts": 3},
        {"name": "cw", "step_size": 0, "steps": 9, "confidence": 1.5},
    )
    assert (pgd.step_size, pgd.steps, pgd.restarts) == (0.5, 7, 3)
    assert (cw.step_size, cw.steps, cw.confidence) == (0.0, 9, 1.5)


def test_usual_step_sizes_by_hand() -> None:
    assert usual_step_size("pgd", 8 / 255) == pytest.approx(2 / 255)
    assert usual_step_size("pgd", 0.4) == pytest.approx(0.1)
    assert usual_step_size("cw", 8 / 255) == pytest.approx(0.003)
    assert usual_step_size("cw", 4 / 255) == pytest.approx(0.0015)


def test_evaluation_job_attacks_at_its_own_radius() -> None:
    body = {"model": "m", "data": {"dataset": "digits"}, "radius": "4/255"}
    spec = resolve(EvaluationJobSpec.model_validate(body), DIGITS)
    assert isinstance(spec, ResolvedEvaluationJobSpec)
    assert [attack.radius for attack in spec.evaluation.attacks] == [4 / 255, 4 / 255]
    assert spec.model == "m"


# -- analyses


def resolved_radii(name: str, radius: float, **settings: Any) -> tuple[float, ...]:
    body = {
        "adversary": {"name": "pgd", "radius": radius},
        "evaluation": {"analyses": [{"name": name, **settings}]},
    }
    (analysis,) = resolve(training(**body), DIGITS).evaluation.analyses
    assert isinstance(analysis, ResolvedRadiusSweep | ResolvedVarianceGap)
    return analysis.radii


def test_radii_of_analyses_by_hand() -> None:
    """Equally spaced up to twice the training radius, at most 1; or as they are set."""
    expected = [0.0125 * step for step in range(17)]
    assert resolved_radii("radius_sweep", 0.1) == pytest.approx(expected)
    assert resolved_radii("variance_gap", 0.1) == pytest.approx([0.025 * i for i in range(1, 9)])
    wide = [min(1.0, 0.2 * step) for step in range(1, 9)]
    assert resolved_radii("variance_gap", 0.8) == pytest.approx(wide)
    assert resolved_radii("radius_sweep", 0.1, radii=[0.3, 0.0]) == (0.3, 0.0)
    assert resolved_radii("variance_gap", 0.1, radii=[0.7]) == (0.7,)


def test_sweep_keeps_its_steps() -> None:
    body = {"evaluation": {"analyses": [{"name": "radius_sweep", "steps": 3}]}}
    (sweep,) = resolve(training(**body), DIGITS).evaluation.analyses
    assert isinstance(sweep, ResolvedRadiusSweep)
    assert sweep.steps == 3


# -- methods, averaging, data


@pytest.mark.parametrize(
    ("epochs", "iad", "swa"),
    # Shares of 0.3 and 0.75, rounded; SWA averages one epoch at least.
    [(200, 60, 150), (5, 2, 4), (4, 1, 3), (3, 1, 2), (2, 1, 1), (1, 0, 0)],
)
def test_beginnings_by_hand(epochs: int, iad: int, swa: int) -> None:
    body = {
        "method": {"name": "iad"},
        "averaging": {"name": "swa"},
        "schedule": {"epochs": epochs},
    }
    spec = resolve(distillation(**body), DIGITS)
    assert isinstance(spec.method, ResolvedIadSettings)
    assert isinstance(spec.averaging, ResolvedSwaSettings)
    assert (spec.method.begin, spec.averaging.begin) == (iad, swa)


def test_beginnings_that_are_set_stay() -> None:
    body = {
        "method": {"name": "iad", "begin": 0, "temperature": 3.0},
        "averaging": {"name": "swa", "begin": 0},
    }
    spec = resolve(distillation(**body), DIGITS)
    assert spec.method == ResolvedIadSettings(begin=0, temperature=3.0)
    assert spec.averaging == ResolvedSwaSettings(begin=0)
    ema = resolve(distillation(averaging={"name": "ema", "decay": 0.9}), DIGITS)
    assert ema.averaging == EmaSettings(decay=0.9)
    assert resolve(training(averaging={"name": "ema", "decay": 0.9}), DIGITS).averaging == (
        EmaSettings(decay=0.9)
    )
    assert resolve(training(), DIGITS).averaging is None


@pytest.mark.parametrize(
    ("features", "dimension"), [(1, 2), (3, 2), (4, 2), (5, 2), (6, 3), (255, 127), (512, 128)]
)
def test_default_dimension_is_half_of_the_features(features: int, dimension: int) -> None:
    """At least 2, at most 128."""
    assert ProjectionHeadSettings().dimension_for(features) == dimension
    assert ProjectionHeadSettings(dimension=300).dimension_for(features) == 300


def test_starship_keeps_all_other_settings() -> None:
    method = {
        "name": "starship",
        "beta": 0.3,
        "covariance": {"weight": 0.5, "heads": {"kind": "mlp", "dimension": 7}},
    }
    resolved = resolve(distillation(method=method), DIGITS).method
    assert isinstance(resolved, StarshipSettings)
    assert (resolved.beta, resolved.covariance.weight) == (0.3, 0.5)
    assert (resolved.covariance.heads.kind, resolved.covariance.heads.dimension) == ("mlp", 7)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Augmentation(crop_padding=4, flip=True)),
        ({"height": 64, "width": 48}, Augmentation(crop_padding=6, flip=True)),
        ({"height": 23, "width": 30}, Augmentation(crop_padding=2, flip=True)),
        ({"channels": 1}, Augmentation(crop_padding=0, flip=False)),
        ({"source": "encoded"}, Augmentation(resized_crop=ResizedCrop(), flip=True)),
    ],
)
def test_default_augmentation_by_hand(changes: dict[str, Any], expected: Augmentation) -> None:
    assert default_augmentation(dataset_description(**changes)) == expected


def test_augmentation_that_is_set_stays() -> None:
    data = {"dataset": "digits", "augmentation": {"crop_padding": 3, "flip": True}, "limit": 9}
    resolved = resolve(training(data=data), DIGITS).data
    assert resolved.augmentation == Augmentation(crop_padding=3, flip=True)
    assert resolved.limit == 9


# -- presets


def test_preset_fills_in_at_every_depth_what_is_missing() -> None:
    job = {
        "preset": "reference",
        "method": {"name": "rslad"},
        "schedule": {"epochs": 3, "decay": {"name": "multi_step", "milestones": [2]}},
        "adversary": {"name": "pgd", "steps": 4},
    }
    filled = apply_preset(job)
    assert filled["method"]["clean_weight"] == pytest.approx(1 / 6)
    assert (filled["schedule"]["epochs"], filled["schedule"]["weight_decay"]) == (3, 2e-4)
    assert filled["schedule"]["decay"] == {"name": "multi_step", "milestones": [2], "factor": 0.1}
    assert filled["adversary"]["steps"] == 4
    assert filled["preset"] == "reference"
    assert job["schedule"] == {"epochs": 3, "decay": {"name": "multi_step", "milestones": [2]}}


def test_object_of_another_kind_gets_nothing_from_the_preset() -> None:
    job = {
        "preset": "reference",
        "method": {"name": "rslad"},
        "schedule": {"decay": {"name": "cosine"}},
        "adversary": {"name": "n_fgsm"},
    }
    filled = apply_preset(job)
    assert filled["schedule"]["decay"] == {"name": "cosine"}
    assert filled["adversary"] == {"name": "n_fgsm"}


def test_value_of_another_type_is_left_to_validation() -> None:
    job = {"preset": "reference", "method": {"name": "rslad"}, "schedule": None, "adversary": 5}
    filled = apply_preset(job)
    assert (filled["schedule"], filled["adversary"]) == (None, 5)


@pytest.mark.parametrize(
    "job", [{}, {"method": None}, {"method": {"name": 3}}, {"method": {"name": "unknown"}}]
)
def test_without_a_known_method_nothing_is_filled_in(job: dict[str, Any]) -> None:
    assert apply_preset({"preset": "reference", **job}) == {"preset": "reference", **job}


def test_without_a_preset_only_n_fgsm_implies_settings() -> None:
    assert apply_preset({"method": {"name": "trades"}}) == {"method": {"name": "trades"}}
    implied = apply_preset({"method": {"name": "n_fgsm"}})
    assert implied["adversary"] == {"name": "n_fgsm"}
    other = apply_preset({"method": {"name": "n_fgsm"}, "adversary": {"radius": 0.1}})
    assert other["adversary"] == {"name": "n_fgsm", "radius": 0.1}
    both = apply_preset({"method": {"name": "n_fgsm"}, "preset": "reference"})
    assert both["adversary"]["name"] == "n_fgsm"


# -- costs


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        (PgdAttack(), 20 + 1),
        (PgdAttack(steps=7, restarts=3), 7 * 3 + 1),
        (CwAttack(), 30 + 1),
        (CwAttack(steps=4), 5),
        # One gradient an iteration for APGD, nine for each targeted attack, and the queries.
        (AutoAttack(), 100 * (1 + 9 + 9) + 5000),
        (AutoAttack(stages=("apgd-ce", "fab-t"), iterations=10), 10 * (1 + 9)),
        (AutoAttack(stages=("square",), queries=77), 77),
        (AutoAttack(stages=("apgd-t",), iterations=3), 27),
        (ResolvedRadiusSweep(radii=(0.0, 0.1, 0.2), steps=5), 3 * 6),
        (ResolvedVarianceGap(radii=(0.1, 0.2)), 2 * 2 * 22),
        (Spectra(), 0),
        (GradCam(), 0),
        (Examples(), 20 + 4),
        (Calibration(), 22),
        (Transfer(), 43),
        (GradientMasking(queries=10), 10 + 240),
    ],
    ids=str,
)
def test_passes_of_each_measure_by_hand(settings: Any, passes: int) -> None:
    assert settings.network_passes == passes
