"""Settings that exclude each other are refused with the field to change."""

from typing import Any

import pytest

from core.jobspec.compatibility import extra_data_problems, start_from_problems, training_problems
from core.jobspec.data import DIGITS, DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec
from core.jobspec.network import ModelDescription, ResNet18, SmallCnn
from core.jobspec.resolved import (
    ResolvedIadSettings,
    ResolvedRadiusSweep,
    ResolvedSwaSettings,
    ResolvedVarianceGap,
)
from tests.builders import dataset_description

COMMON: dict[str, Any] = {
    "student": {"architecture": "small_cnn", "width": 4},
    "data": {"dataset": "digits", "held_out": 0.1},
}


def training(**changes: Any) -> AdversarialTrainingSpec:
    return AdversarialTrainingSpec.model_validate({**COMMON, **changes})


def problems(**changes: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [
        (error.path, error.message)
        for error in training_problems(training(**changes), DIGITS, None)
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"method": {"name": "n_fgsm"}, "adversary": {"name": "pgd"}}, ("adversary", "name")),
        ({"method": {"name": "at_prm"}}, ("method", "name")),
        (
            {"schedule": {"epochs": 5, "decay": {"name": "multi_step", "milestones": [3, 5]}}},
            ("schedule", "decay", "milestones"),
        ),
        (
            {"schedule": {"epochs": 5}, "averaging": {"name": "swa", "begin": 5}},
            ("averaging", "begin"),
        ),
        ({"schedule": {"epochs": 5}, "awp": {"begin": 7}}, ("awp", "begin")),
        (
            {"evaluation": {"analyses": [{"name": "calibration"}, {"name": "transfer"}]}},
            ("evaluation", "analyses", 1, "name"),
        ),
        (
            {
                "adversary": {"name": "pgd", "radius": 0},
                "evaluation": {"attacks": [{"name": "autoattack"}]},
            },
            ("evaluation", "attacks", 0, "radius"),
        ),
    ],
    ids=str,
)
def test_contradiction_is_one_sentence_at_its_field(
    changes: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    ((actual_path, message),) = problems(**changes)
    assert actual_path == path
    assert message.endswith(".")


def test_consistent_settings_are_accepted() -> None:
    assert not problems(method={"name": "n_fgsm"})
    assert not problems(
        schedule={"epochs": 6, "decay": {"name": "multi_step", "milestones": [3, 5]}}
    )
    assert not problems(
        schedule={"epochs": 6}, averaging={"name": "swa", "begin": 5}, awp={"begin": 5}
    )
    distilled = DistillationSpec.model_validate(
        {**COMMON, "teacher": "t", "evaluation": {"analyses": [{"name": "transfer"}]}}
    )
    assert not training_problems(distilled, DIGITS, None)


def test_default_beginnings_are_shares_of_the_epochs() -> None:
    body = {
        **COMMON,
        "teacher": "t",
        "method": {"name": "iad"},
        "averaging": {"name": "swa"},
        "schedule": {"epochs": 200},
    }
    spec = resolve(DistillationSpec.model_validate(body), DIGITS)
    assert isinstance(spec.method, ResolvedIadSettings)
    assert spec.method.begin == 60
    assert isinstance(spec.averaging, ResolvedSwaSettings)
    assert spec.averaging.begin == 150


def test_radius_sweep_goes_to_twice_the_training_radius() -> None:
    body = {
        "adversary": {"name": "pgd", "radius": "8/255"},
        "evaluation": {"analyses": [{"name": "radius_sweep"}]},
    }
    (sweep,) = resolve(training(**body), DIGITS).evaluation.analyses
    assert isinstance(sweep, ResolvedRadiusSweep)
    assert sweep.radii == pytest.approx([step / 255 for step in range(17)])


def test_variance_gap_has_radii_up_to_twice_the_training_one() -> None:
    """The training radius itself is one of them."""
    body = {
        "adversary": {"name": "pgd", "radius": "8/255"},
        "evaluation": {"analyses": [{"name": "variance_gap"}]},
    }
    (gap,) = resolve(training(**body), DIGITS).evaluation.analyses
    assert isinstance(gap, ResolvedVarianceGap)
    assert gap.radii == pytest.approx([2 * step / 255 for step in range(1, 9)])
    assert 8 / 255 in gap.radii


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"height": 16}, "16x32"),
        ({"classes": 4, "class_names": tuple("abcd")}, "4 classes"),
        ({"channels": 1}, "1x32x32"),
    ],
)
def test_extra_images_have_the_same_shape_and_no_more_classes(
    changes: dict[str, Any], word: str
) -> None:
    extra = dataset_description(test_images=0, **changes)
    (error,) = extra_data_problems("real", dataset_description(), "extra", extra)
    assert error.path == ("data", "extra", "dataset")
    assert word in error.message


def test_data_set_without_test_images_cannot_be_the_main_one() -> None:
    only_extra: DatasetDescription = dataset_description(test_images=0, train_images=1000)
    body = {"student": {"architecture": "resnet18"}, "data": {"dataset": "synthetic"}}
    (error,) = training_problems(AdversarialTrainingSpec.model_validate(body), only_extra, None)
    assert (error.path, "no test images" in error.message) == (("data", "dataset"), True)


def test_start_from_needs_the_same_network() -> None:
    """The number of classes may differ."""
    same = ModelDescription(network=SmallCnn(width=4), classes=3, channels=1, height=8, width=8)
    assert not start_from_problems(training(start_from="m"), DIGITS, same)
    other = ModelDescription(network=ResNet18(), classes=10, channels=3, height=32, width=32)
    (error,) = start_from_problems(training(start_from="m"), DIGITS, other)
    assert error.path == ("start_from",)
