"""What a spec accepts, refuses and resolves to."""

import math
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from core.jobspec.compatibility import held_out_images, network_problems, training_problems, steps_per_epoch
from core.jobspec.data import DIGITS, DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, SubmittedSpec
from core.jobspec.network import ARCHITECTURES, ModelDescription, ResNet18, SmallCnn
from core.jobspec.resolved import parse
from core.jobspec.status import ACTIONS, TRANSITIONS, STATUSES, TERMINAL, is_transition
from core.jobspec.training.methods import METHODS
from core.jobspec.training.starship import StarshipSettings

SUBMITTED: TypeAdapter[AdversarialTrainingSpec | DistillationSpec] = TypeAdapter(SubmittedSpec)
BODY: dict[str, Any] = {
    "kind": "distillation",
    "teacher": "mdl_x",
    "student": {"architecture": "small_cnn", "width": 4},
    "data": {"dataset": "digits", "held_out": 0.1},
}
COLOUR = DatasetDescription(
    source="packed",
    classes=100,
    class_names=(),
    channels=3,
    height=32,
    width=32,
    train_images=50_000,
    test_images=10_000,
)


def job(**changes: Any) -> AdversarialTrainingSpec | DistillationSpec:
    return SUBMITTED.validate_python({**BODY, **changes})


def where_wrong(**changes: Any) -> list[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as caught:
        job(**changes)
    return [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("8/255", 8 / 255), ("0.5/255", 0.5 / 255), (0.03, 0.03), (0, 0.0), (1, 1.0)],
)
def test_a_radius_is_a_number_or_a_fraction(written: str | float, meant: float) -> None:
    assert job(adversary={"name": "pgd", "radius": written}).adversary.radius == pytest.approx(
        meant, abs=0
    )


@pytest.mark.parametrize(
    ("written", "meant"), [("8/255", 8 / 255), ("0.5/255", 0.5 / 255), (0.5, 0.5)]
)
def test_autoattacks_radius_is_a_number_or_a_fraction_too(
    written: str | float, meant: float
) -> None:
    (attack,) = job(
        evaluation={"attacks": [{"name": "autoattack", "radius": written}]}
    ).evaluation.attacks
    assert attack.radius == pytest.approx(meant, abs=0)


@pytest.mark.parametrize("written", [0, "0/255", -0.1, 65, "8", True, math.nan])
def test_autoattacks_radius_is_above_0_and_finite(written: object) -> None:
    assert where_wrong(
        evaluation={"attacks": [{"name": "autoattack", "norm": "l2", "radius": written}]}
    )


@pytest.mark.parametrize(
    "written",
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
def test_a_radius_that_is_neither_or_outside_0_to_1_is_refused(written: object) -> None:
    assert where_wrong(adversary={"name": "pgd", "radius": written})


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
def test_what_is_out_of_range_or_of_another_kind_is_refused_at_its_field(
    changes: dict[str, Any],
) -> None:
    assert all(location[1] in changes for location in where_wrong(**changes))


@pytest.mark.parametrize(
    "path",
    [(), ("student",), ("data",), ("adversary",), ("schedule",), ("evaluation",), ("method",)],
)
def test_an_unknown_field_is_refused_wherever_it_stands(path: tuple[str, ...]) -> None:
    parts: dict[str, Any] = {
        "student": {"architecture": "small_cnn"},
        "data": {"dataset": "digits"},
        "adversary": {"name": "pgd"},
        "schedule": {},
        "evaluation": {},
        "method": {"name": "starship"},
    }
    changes = {path[0]: {**parts[path[0]], "surprise": 1}} if path else {"surprise": 1}
    assert any(location[-1] == "surprise" for location in where_wrong(**changes))


def test_imports_cannot_be_submitted_as_jobs() -> None:
    with pytest.raises(ValidationError):
        SUBMITTED.validate_python(
            {"kind": "import_dataset", "dataset_id": "ds_x", "source": "folder", "folder": "x"}
        )


def test_a_spec_cannot_be_edited() -> None:
    with pytest.raises(ValidationError):
        job().seed = 3  # type: ignore[misc]


def test_a_resolved_spec_is_stored_and_read_back_unchanged_with_no_default_left_open() -> None:
    resolved = resolve(job(adversary={"name": "pgd", "radius": 0.15}), DIGITS)
    assert parse(resolved.model_dump(mode="json")) == resolved
    assert resolved.data.augmentation is not None
    for attack in resolved.evaluation.attacks:
        assert attack.radius == 0.15
        assert attack.step_size is not None


@pytest.mark.parametrize(("width", "dimension"), [(4, 8), (8, 16), (64, 128), (128, 128)])
def test_starships_heads_are_as_wide_as_the_student_can_fill(width: int, dimension: int) -> None:
    resolved = resolve(
        job(student={"architecture": "small_cnn", "width": width}, method={"name": "starship"}),
        DIGITS,
    )
    assert isinstance(resolved.method, StarshipSettings)
    assert resolved.method.covariance.heads.dimension == dimension


def test_at_8_255_the_attacks_step_as_the_literature_does() -> None:
    pgd, cw = resolve(job(), DIGITS).evaluation.attacks
    assert pgd.step_size == pytest.approx(2 / 255)
    assert cw.step_size == pytest.approx(0.003)


def test_grey_images_are_not_augmented_by_default_and_colour_images_are() -> None:
    grey, colour = (resolve(job(), dataset).data.augmentation for dataset in (DIGITS, COLOUR))
    assert grey is not None
    assert colour is not None
    assert (grey.crop_padding, grey.flip, colour.crop_padding, colour.flip) == (0, False, 4, True)


def test_the_split_of_digits_gives_ten_complete_batches_an_epoch() -> None:
    assert (held_out_images(job(), DIGITS), steps_per_epoch(job(), DIGITS)) == (144, 10)


def test_a_batch_larger_than_the_training_set_is_a_misfit() -> None:
    found = training_problems(job(schedule={"batch_size": 2000}), DIGITS, None)
    assert [error.path for error in found] == [("schedule", "batch_size")]
    assert "1293" in found[0].message


def test_a_network_that_cannot_take_the_images_is_a_misfit() -> None:
    assert [
        error.path for error in training_problems(job(student={"architecture": "resnet18"}), DIGITS, None)
    ] == [("student", "architecture")] * 2


def test_colour_normalization_does_not_fit_grey_images() -> None:
    assert network_problems(SmallCnn(normalization="cifar10"), 1, 8, 8, ("network",))[0].path == (
        "network",
        "normalization",
    )
    assert not network_problems(ResNet18(normalization="cifar10"), 3, 32, 32, ("network",))


@pytest.mark.parametrize(
    ("changes", "said"), [({"classes": 100}, "100 classes"), ({"height": 16}, "1x16x8")]
)
def test_a_teacher_of_other_classes_or_images_is_a_misfit(
    changes: dict[str, int], said: str
) -> None:
    teacher = ModelDescription(
        **{"network": SmallCnn(), "classes": 10, "channels": 1, "height": 8, "width": 8, **changes}
    )
    (found,) = training_problems(job(), DIGITS, teacher)
    assert found.path == ("teacher",)
    assert said in found.message


def test_every_architecture_and_method_of_the_contents_is_one_a_spec_accepts() -> None:
    for name in ARCHITECTURES:
        assert job(student={"architecture": name}).student.architecture == name
    for name in METHODS:
        kind = (
            "adversarial_training"
            if name in ("trades", "pgd_at", "score", "n_fgsm", "at_prm")
            else "distillation"
        )
        body = {**BODY, "kind": kind, "method": {"name": name}}
        if kind == "adversarial_training":
            del body["teacher"]
        assert SUBMITTED.validate_python(body).method.name == name


def test_every_state_leads_into_an_end_and_only_a_user_leads_out_of_one() -> None:
    by_users = {(old, new) for states in ACTIONS.values() for old, new in states.items()}
    assert {move for move in TRANSITIONS if move[0] in TERMINAL} <= by_users
    for status in STATUSES:
        reached, seen = {status}, set[str]()
        while reached - seen:
            seen |= reached
            reached |= {new for old, new in TRANSITIONS if old in reached}
        assert reached & TERMINAL
    assert not is_transition("queued", "succeeded")
