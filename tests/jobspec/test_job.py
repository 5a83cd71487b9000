"""Specs: what they accept, refuse and resolve to."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from core.jobspec.compatibility import (
    held_out_images,
    network_problems,
    steps_per_epoch,
    training_problems,
)
from core.jobspec.data import DIGITS, DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, parse_submitted
from core.jobspec.network import ARCHITECTURES, ModelDescription, ResNet18, SmallCnn
from core.jobspec.resolved import ResolvedCwAttack, ResolvedPgdAttack, parse
from core.jobspec.status import ACTIONS, STATUSES, TERMINAL, TRANSITIONS, is_transition
from core.jobspec.training.methods import METHODS
from core.jobspec.training.starship import StarshipSettings

BODY: dict[str, Any] = {
    "kind": "distillation",
    "teacher": "mdl_x",
    "student": {"architecture": "small_cnn", "width": 4},
    "data": {"dataset": "digits", "held_out": 0.1},
}
COLOR = DatasetDescription(
    source="packed",
    classes=100,
    class_names=(),
    channels=3,
    height=32,
    width=32,
    train_images=50_000,
    test_images=10_000,
)


def job_spec(**changes: Any) -> AdversarialTrainingSpec | DistillationSpec:
    spec = parse_submitted({**BODY, **changes})
    assert isinstance(spec, AdversarialTrainingSpec | DistillationSpec)
    return spec


def error_locations(**changes: Any) -> list[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as caught:
        job_spec(**changes)
    return [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("text", "value"),
    [("8/255", 8 / 255), ("0.5/255", 0.5 / 255), (0.03, 0.03), (0, 0.0), (1, 1.0)],
)
def test_radius_is_a_number_or_a_fraction(text: str | float, value: float) -> None:
    assert job_spec(adversary={"name": "pgd", "radius": text}).adversary.radius == pytest.approx(
        value, abs=0
    )


@pytest.mark.parametrize(
    ("text", "value"), [("8/255", 8 / 255), ("0.5/255", 0.5 / 255), (0.5, 0.5)]
)
def test_autoattack_radius_is_a_number_or_a_fraction(text: str | float, value: float) -> None:
    (attack,) = job_spec(
        evaluation={"attacks": [{"name": "autoattack", "radius": text}]}
    ).evaluation.attacks
    assert attack.radius == pytest.approx(value, abs=0)


@pytest.mark.parametrize("value", [0, "0/255", -0.1, 65, "8", True, math.nan])
def test_autoattack_radius_is_above_0_and_finite(value: object) -> None:
    assert error_locations(
        evaluation={"attacks": [{"name": "autoattack", "norm": "l2", "radius": value}]}
    )


@pytest.mark.parametrize(
    "value",
    [
        "8/0",
        "256/255",
        "-1/255",
        "8 / 255",
        "8",
        "",
        "1e-2",
        "1/2/3",
        "1_0/255",
        True,
        None,
        math.nan,
        math.inf,
        1.01,
        -0.1,
    ],
)
def test_radius_outside_0_to_1_or_of_another_type_is_refused(value: object) -> None:
    assert error_locations(adversary={"name": "pgd", "radius": value})


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {"epochs": 0}},
        {"schedule": {"epochs": 10**9}},
        {"schedule": {"batch_size": 10**7}},
        {"schedule": {"learning_rate": math.nan}},
        {"schedule": {"learning_rate": "0.1"}},
        {"schedule": {"epochs": 1.5}},
        {"schedule": {"epochs": True}},
        {"adversary": {"name": "pgd", "steps": 10**9}},
        {"adversary": {"name": "unknown"}},
        {"evaluation": {"attacks": [{"name": "pgd"}] * 9}},
        {"data": {"dataset": "digits", "held_out": 0}},
        {"seed": -1},
        {"seed": 2**31},
        {"student": {"architecture": "small_cnn", "width": 10**6}},
        {"student": {"architecture": "resnet18", "width": 3}},
        {"method": {"name": "trades"}},
        {"method": {"name": "starship", "covariance": {"heads": {"dimension": 10**6}}}},
        {"name": "x" * 201},
        {"name": "a\0b"},
        {"metadata": {str(number): "" for number in range(33)}},
        {"metadata": {"a b": ""}},
    ],
    ids=str,
)
def test_invalid_value_is_refused_at_its_field(
    changes: dict[str, Any],
) -> None:
    assert all(location[1] in changes for location in error_locations(**changes))


@pytest.mark.parametrize(
    "path",
    [(), ("student",), ("data",), ("adversary",), ("schedule",), ("evaluation",), ("method",)],
)
def test_unknown_field_is_refused_in_every_part(path: tuple[str, ...]) -> None:
    parts: dict[str, Any] = {
        "student": {"architecture": "small_cnn"},
        "data": {"dataset": "digits"},
        "adversary": {"name": "pgd"},
        "schedule": {},
        "evaluation": {},
        "method": {"name": "starship"},
    }
    changes = {path[0]: {**parts[path[0]], "surprise": 1}} if path else {"surprise": 1}
    assert any(location[-1] == "surprise" for location in error_locations(**changes))


def test_imports_cannot_be_submitted_as_jobs() -> None:
    with pytest.raises(ValidationError):
        parse_submitted(
            {"kind": "import_dataset", "dataset_id": "ds_x", "source": "folder", "folder": "x"}
        )


def test_spec_is_frozen() -> None:
    with pytest.raises(ValidationError):
        job_spec().seed = 3  # type: ignore[misc]


def test_resolved_spec_survives_a_round_trip() -> None:
    """No default is open in it."""
    resolved = resolve(job_spec(adversary={"name": "pgd", "radius": 0.15}), DIGITS)
    assert parse(resolved.model_dump(mode="json")) == resolved
    assert resolved.data.augmentation is not None
    for attack in resolved.evaluation.attacks:
        assert isinstance(attack, ResolvedPgdAttack | ResolvedCwAttack)
        assert attack.radius == 0.15
        assert attack.step_size is not None


@pytest.mark.parametrize(("width", "dimension"), [(4, 8), (8, 16), (64, 128), (128, 128)])
def test_starship_heads_have_half_of_the_students_features(width: int, dimension: int) -> None:
    """At most 128, and no more than the student can fill."""
    resolved = resolve(
        job_spec(
            student={"architecture": "small_cnn", "width": width}, method={"name": "starship"}
        ),
        DIGITS,
    )
    assert isinstance(resolved.method, StarshipSettings)
    assert resolved.method.covariance.heads.dimension == dimension


def test_default_step_sizes_at_8_255_are_the_literatures() -> None:
    pgd, cw = resolve(job_spec(), DIGITS).evaluation.attacks
    assert isinstance(pgd, ResolvedPgdAttack)
    assert isinstance(cw, ResolvedCwAttack)
    assert pgd.step_size == pytest.approx(2 / 255)
    assert cw.step_size == pytest.approx(0.003)


def test_only_color_images_are_augmented_by_default() -> None:
    gray, color = (resolve(job_spec(), dataset).data.augmentation for dataset in (DIGITS, COLOR))
    assert gray is not None
    assert color is not None
    assert (gray.crop_padding, gray.flip, color.crop_padding, color.flip) == (0, False, 4, True)


def test_digits_have_ten_complete_batches_an_epoch() -> None:
    assert (held_out_images(job_spec(), DIGITS), steps_per_epoch(job_spec(), DIGITS)) == (144, 10)


def test_batch_larger_than_the_training_set_is_refused() -> None:
    problems = training_problems(job_spec(schedule={"batch_size": 2000}), DIGITS, None)
    assert [problem.path for problem in problems] == [("schedule", "batch_size")]
    assert "1293" in problems[0].message


def test_network_that_cannot_take_the_images_is_refused() -> None:
    assert [
        error.path
        for error in training_problems(job_spec(student={"architecture": "resnet18"}), DIGITS, None)
    ] == [("student", "architecture")] * 2


def test_color_normalization_does_not_fit_gray_images() -> None:
    assert network_problems(SmallCnn(normalization="cifar10"), 1, 8, 8, ("network",))[0].path == (
        "network",
        "normalization",
    )
    assert not network_problems(ResNet18(normalization="cifar10"), 3, 32, 32, ("network",))


@pytest.mark.parametrize(
    ("changes", "words"), [({"classes": 100}, "100 classes"), ({"height": 16}, "1x16x8")]
)
def test_teacher_of_other_classes_or_images_is_refused(changes: dict[str, int], words: str) -> None:
    shape = {"classes": 10, "channels": 1, "height": 8, "width": 8, **changes}
    teacher = ModelDescription(network=SmallCnn(), **shape)
    (problem,) = training_problems(job_spec(), DIGITS, teacher)
    assert problem.path == ("teacher",)
    assert words in problem.message


def test_spec_accepts_every_architecture_and_method() -> None:
    for name in ARCHITECTURES:
        assert job_spec(student={"architecture": name}).student.architecture == name
    for name in METHODS:
        body = {**BODY, "method": {"name": name}}
        if name in ("trades", "pgd_at", "score", "n_fgsm", "at_prm"):
            body["kind"] = "adversarial_training"
            del body["teacher"]
        spec = parse_submitted(body)
        assert isinstance(spec, AdversarialTrainingSpec | DistillationSpec)
        assert spec.method.name == name


def test_every_state_leads_to_an_end_that_only_users_undo() -> None:
    by_users = {(old, new) for states in ACTIONS.values() for old, new in states.items()}
    assert {change for change in TRANSITIONS if change[0] in TERMINAL} <= by_users
    for status in STATUSES:
        reachable: set[str] = {status}
        expanded: set[str] = set()
        while reachable - expanded:
            expanded |= reachable
            reachable |= {new for old, new in TRANSITIONS if old in reachable}
        assert reachable & TERMINAL
    assert not is_transition("queued", "succeeded")
