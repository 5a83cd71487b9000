"""What cannot run is refused, and what just can is not: each limit and each sentence, by hand."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import FieldError
from core.jobspec.compatibility import (
    augmentation_problems,
    evaluation_problems,
    extra_data_problems,
    held_out_images,
    missing_test_image_problems,
    model_problems,
    network_problems,
    setting_problems,
    start_from_problems,
    steps_per_epoch,
    training_problems,
)
from core.jobspec.data import Augmentation, DatasetDescription, ImportOptions, ResizedCrop
from core.jobspec.evaluation import AutoAttack, Evaluation
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec
from core.jobspec.network import (
    DeitS,
    ImageNetMobileNetV2,
    Network,
    ResNet18,
    SmallCnn,
    VitB,
    Wrn2810,
)
from core.jobspec.training.schedule import Schedule
from tests.builders import dataset_description, model_description

BODY: dict[str, Any] = {
    "student": {"architecture": "small_cnn", "width": 4},
    "data": {"dataset": "pictures"},
    "schedule": {"epochs": 5, "batch_size": 20},
}
Problem = tuple[tuple[str | int, ...], str]


def training(**changes: Any) -> AdversarialTrainingSpec:
    return AdversarialTrainingSpec.model_validate({**BODY, **changes})


def distillation(**changes: Any) -> DistillationSpec:
    return DistillationSpec.model_validate({"teacher": "big", **BODY, **changes})


def plain(errors: list[FieldError]) -> list[Problem]:
    return [(tuple(error.path), error.message) for error in errors]


# -- how many images and steps


@pytest.mark.parametrize(
    ("limit", "share", "images", "held_out"),
    [
        (None, 0.02, 100, 2),
        (None, 0.5, 100, 50),
        (None, 0.026, 100, 3),
        (None, 0.024, 100, 2),
        (40, 0.1, 100, 4),
        (1000, 0.1, 100, 10),
        (None, 0.001, 100, 1),
        (None, 0.02, 10, 1),
    ],
)
def test_held_out_images_by_hand(
    limit: int | None, share: float, images: int, held_out: int
) -> None:
    """A rounded share of the images that are used, but at least one."""
    spec = training(data={"dataset": "pictures", "limit": limit, "held_out": share})
    assert held_out_images(spec, dataset_description(train_images=images)) == held_out


@pytest.mark.parametrize(
    ("images", "batch_size", "steps"), [(100, 98, 1), (100, 99, 0), (100, 49, 2), (100, 50, 1)]
)
def test_steps_of_an_epoch_are_its_full_batches(images: int, batch_size: int, steps: int) -> None:
    """Of 98 images: two of 100 are held out."""
    spec = training(schedule={"batch_size": batch_size})
    dataset = dataset_description(train_images=images)
    assert steps_per_epoch(spec, dataset) == steps
    problems = plain(training_problems(spec, dataset, None))
    if steps:
        assert problems == []
        return
    assert problems == [
        (
            ("schedule", "batch_size"),
            "A batch of 99 is larger than the 98 training images that remain when 2 are held out.",
        )
    ]


@pytest.mark.parametrize(
    ("ratio", "extra_images"),
    [(0.024, 0), (0.026, 1), (0.5, 10), (0.974, 19), (0.976, 20)],
)
def test_batch_has_room_for_both_kinds_of_images(ratio: float, extra_images: int) -> None:
    data = {"dataset": "pictures", "extra": {"dataset": "synthetic", "ratio": ratio}}
    problems = plain(training_problems(training(data=data), dataset_description(), None))
    if 0 < extra_images < 20:
        assert problems == []
        return
    assert problems == [
        (
            ("data", "extra", "ratio"),
            f"A ratio of {ratio} makes {extra_images} of 20 images in a batch extra ones; "
            "a batch needs at least one extra image and one of the data set.",
        )
    ]


# -- settings that exclude each other


BEGINNINGS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"method": {"name": "iad", "begin": 5}}, ("method", "begin")),
    ({"averaging": {"name": "swa", "begin": 5}}, ("averaging", "begin")),
    ({"awp": {"begin": 5}}, ("awp", "begin")),
]


@pytest.mark.parametrize(("changes", "path"), BEGINNINGS, ids=str)
def test_nothing_begins_after_the_last_epoch(
    changes: dict[str, Any], path: tuple[str, str]
) -> None:
    message = "This would begin after 5 epochs; the job has 5."
    assert plain(setting_problems(distillation(**changes))) == [(path, message)]
    longer = {**changes, "schedule": {"epochs": 6}}
    assert setting_problems(distillation(**longer)) == []


def test_every_contradiction_is_told_at_once() -> None:
    spec = training(
        method={"name": "n_fgsm"},
        adversary={"name": "pgd"},
        awp={"begin": 9},
        averaging={"name": "swa", "begin": 7},
        schedule={"epochs": 5, "decay": {"name": "multi_step", "milestones": [4, 8, 5]}},
    )
    assert plain(setting_problems(spec)) == [
        (
            ("adversary", "name"),
            "Method n_fgsm trains against its own adversary, not 'pgd'; use pgd_at for that one.",
        ),
        (
            ("schedule", "decay", "milestones"),
            "No step is left for a new rate after epoch 8 of 5; remove this milestone.",
        ),
        (("averaging", "begin"), "This would begin after 7 epochs; the job has 5."),
        (("awp", "begin"), "This would begin after 9 epochs; the job has 5."),
    ]


def test_at_prm_needs_patches() -> None:
    message = "Method at_prm masks the patches of a vision transformer; small_cnn has none."
    assert plain(setting_problems(training(method={"name": "at_prm"}))) == [
        (("method", "name"), message)
    ]
    transformer = training(method={"name": "at_prm"}, student={"architecture": "deit_s"})
    assert setting_problems(transformer) == []


def test_any_adversary_goes_with_any_other_method() -> None:
    assert setting_problems(training(adversary={"name": "n_fgsm"})) == []
    assert setting_problems(training(method={"name": "n_fgsm"})) == []


# -- evaluation


def evaluation(**changes: Any) -> Evaluation:
    return Evaluation.model_validate({"attacks": [], **changes})


def test_autoattack_without_a_radius_is_refused() -> None:
    attacks = [{"name": "pgd"}, {"name": "autoattack"}, {"name": "autoattack", "radius": 0.1}]
    message = "AutoAttack needs a radius above 0; set its own."
    spec = evaluation(attacks=attacks)
    expected = [(("evaluation", "attacks", 1, "radius"), message)]
    assert plain(evaluation_problems(spec, 0.0, has_reference=False)) == expected
    assert evaluation_problems(spec, 1e-9, has_reference=False) == []


def test_analyses_that_cannot_run_are_refused() -> None:
    spec = evaluation(analyses=[{"name": "transfer"}, {"name": "gradient_masking"}])
    needs_reference = (
        ("evaluation", "analyses", 0, "name"),
        "transfer compares with another network, and this job has no teacher or reference.",
    )
    needs_radius = (
        ("evaluation", "analyses", 1, "name"),
        "gradient_masking attacks at the radius of the training adversary, or of the "
        "evaluation, which must be above 0.",
    )
    for radius, has_reference, expected in (
        (0.0, False, [needs_reference, needs_radius]),
        (0.1, False, [needs_reference]),
        (0.0, True, [needs_radius]),
        (0.1, True, []),
    ):
        assert plain(evaluation_problems(spec, radius, has_reference)) == expected


def test_job_is_evaluated_at_its_radius_beside_its_teacher() -> None:
    analyses = {"analyses": [{"name": "transfer"}, {"name": "gradient_masking"}]}
    no_radius = {"name": "pgd", "radius": 0}
    dataset = dataset_description()
    assert training_problems(distillation(evaluation=analyses), dataset, None) == []
    distilled = distillation(evaluation=analyses, adversary=no_radius)
    trained = training(evaluation=analyses, adversary=no_radius)
    assert len(training_problems(distilled, dataset, None)) == 1
    assert len(training_problems(trained, dataset, None)) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "l2"}, "AutoAttack in L2 needs a radius, such as 0.5"),
        ({"radius": 1.01}, "a radius in L-infinity is at most 1"),
        ({"stages": ["square", "fab-t", "square"]}, "a stage is listed twice"),
        ({"norm": "l1", "radius": 1}, "'linf' or 'l2'"),
    ],
)
def test_contradictory_autoattack_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AutoAttack.model_validate(settings)


def test_autoattack_at_its_limits_is_accepted() -> None:
    assert AutoAttack(radius=1.0).radius == 1.0
    assert AutoAttack(norm="l2", radius=1.01).radius == 1.01
    assert AutoAttack(stages=("square", "fab-t")).stages == ("square", "fab-t")


@pytest.mark.parametrize(
    ("changes", "standard"),
    [
        ({}, True),
        ({"radius": 0.3}, True),
        ({"norm": "l2", "radius": 0.5}, True),
        ({"queries": 4999}, False),
        ({"iterations": 101}, False),
        ({"stages": ("apgd-ce", "apgd-t", "square", "fab-t")}, False),
        ({"stages": ("apgd-ce", "apgd-t", "fab-t")}, False),
    ],
)
def test_standard_autoattack_has_all_stages_and_queries(
    changes: dict[str, Any], standard: bool
) -> None:
    assert AutoAttack(**changes).is_standard == standard


def test_analysis_listed_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="an analysis is listed twice"):
        evaluation(analyses=[{"name": "spectra"}, {"name": "calibration"}, {"name": "spectra"}])
    evaluation(attacks=[{"name": "pgd"}, {"name": "pgd"}], analyses=[{"name": "spectra"}])


# -- networks and images


@pytest.mark.parametrize(
    ("network", "title", "least"),
    [
        (SmallCnn(), "Small CNN", 8),
        (ResNet18(), "ResNet-18", 16),
        (Wrn2810(), "WRN-28-10", 16),
        (ImageNetMobileNetV2(), "MobileNetV2 (ImageNet)", 32),
    ],
)
def test_images_may_be_as_small_as_the_least_side(network: Network, title: str, least: int) -> None:
    assert network_problems(network, 3, least, least, ("student",)) == []
    for height, width in ((least - 1, least), (least, least - 1)):
        assert plain(network_problems(network, 3, height, width, ("student",), "tiny")) == [
            (
                ("student", "architecture"),
                f"{title} takes images of at least {least}x{least} pixels; "
                f"tiny has {height}x{width}.",
            )
        ]


def test_channels_and_normalization_fit_the_images() -> None:
    assert plain(network_problems(ResNet18(), 1, 32, 32, ("model",), "gray")) == [
        (("model", "architecture"), "ResNet-18 takes images of 3 channels; gray has 1.")
    ]
    assert plain(network_problems(SmallCnn(), 2, 32, 32, ("model",))) == [
        (("model", "architecture"), "Small CNN takes images of 1 or 3 channels; the input has 2.")
    ]
    normalized = SmallCnn(normalization="cifar10")
    assert plain(network_problems(normalized, 1, 32, 32, ("model",))) == [
        (
            ("model", "normalization"),
            "Normalization 'cifar10' is for color images; the input has 1 channels.",
        )
    ]
    assert network_problems(normalized, 3, 32, 32, ("model",)) == []
    assert network_problems(SmallCnn(), 1, 32, 32, ("model",)) == []


def test_transformers_have_at_most_1024_patches() -> None:
    assert VitB(image_size=64, patch_size=2).patches == 1024
    with pytest.raises(ValidationError, match="make 1089 patches, more than 1024"):
        VitB(image_size=66, patch_size=2)
    assert DeitS(image_size=512, patch_size=16).patches == 1024
    assert DeitS(image_size=32, patch_size=32).patches == 1
    with pytest.raises(ValidationError, match="less than or equal to 32"):
        DeitS(image_size=33, patch_size=33)
    with pytest.raises(ValidationError, match="less than or equal to 512"):
        DeitS(image_size=544, patch_size=32)


def test_stored_model_fits_classes_and_shape() -> None:
    dataset = dataset_description()
    fitting = {"network": SmallCnn(), "classes": 3, "channels": 3, "height": 32, "width": 32}
    assert model_problems("pictures", dataset, model_description(**fitting), ("teacher",)) == []
    other = model_description(**{**fitting, "classes": 4, "width": 31})
    shape = (
        "The start from takes images of 3x32x31 (channels, height, width); pictures has 3x32x32."
    )
    classes = "The start from distinguishes 4 classes; pictures has 3."
    path = ("start_from",)
    assert plain(model_problems("pictures", dataset, other, path)) == [
        (path, classes),
        (path, shape),
    ]
    without_classes = model_problems("pictures", dataset, other, path, compare_classes=False)
    assert plain(without_classes) == [(path, shape)]


def test_teacher_is_compared_for_distillation_alone() -> None:
    other = model_description(network=SmallCnn(), classes=4, channels=3, height=32, width=32)
    dataset = dataset_description()
    ((path, message),) = plain(training_problems(distillation(), dataset, other))
    assert (path, message) == (
        ("teacher",),
        "The teacher distinguishes 4 classes; pictures has 3.",
    )
    assert training_problems(training(), dataset, other) == []


def test_student_starts_from_the_same_network_and_images() -> None:
    spec = training(start_from="former")
    dataset = dataset_description()
    same = model_description(network=spec.student, classes=7, channels=3, height=32, width=32)
    assert start_from_problems(spec, dataset, same) == []
    wider = same.model_copy(update={"network": SmallCnn(width=5)})
    ((path, message),) = plain(start_from_problems(spec, dataset, wider))
    assert path == ("start_from",)
    assert message.endswith("they must be the same network.")
    higher = same.model_copy(update={"height": 40})
    assert plain(start_from_problems(spec, dataset, higher)) == [
        (
            ("start_from",),
            "The start from takes images of 3x40x32 (channels, height, width); "
            "pictures has 3x32x32.",
        )
    ]


# -- data


def test_only_encoded_images_are_cropped_and_resized() -> None:
    spec = training(data={"dataset": "pictures", "augmentation": {"resized_crop": {}}})
    encoded = dataset_description(source="encoded")
    assert augmentation_problems(spec, encoded) == []
    message = (
        "resized_crop is for data sets of encoded images; pictures is packed: use crop_padding."
    )
    expected = [(("data", "augmentation", "resized_crop"), message)]
    assert plain(augmentation_problems(spec, dataset_description())) == expected
    assert plain(training_problems(spec, dataset_description(), None)) == expected
    padded = training(data={"dataset": "pictures", "augmentation": {"crop_padding": 2}})
    assert augmentation_problems(padded, dataset_description()) == []
    assert augmentation_problems(training(), dataset_description()) == []


def test_data_set_needs_test_images() -> None:
    assert missing_test_image_problems("pictures", dataset_description(test_images=1)) == []
    ((path, message),) = plain(
        missing_test_image_problems("pictures", dataset_description(test_images=0))
    )
    assert path == ("data", "dataset")
    assert message == "pictures has no test images: it can only be extra training data."


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({}, []),
        ({"classes": 2, "class_names": ("a", "b")}, []),
        ({"test_images": 0}, []),
        (
            {"classes": 4, "class_names": tuple("abcd")},
            ["more has labels of 4 classes; pictures has 3."],
        ),
        (
            {"width": 33},
            ["more has images of 3x32x33 (channels, height, width); pictures has 3x32x32."],
        ),
        (
            {"source": "encoded"},
            [
                "more has encoded images; extra images come from an imported data set of "
                "decoded ones."
            ],
        ),
        (
            {"source": "digits"},
            ["more is built in; extra images come from an imported data set of decoded ones."],
        ),
    ],
)
def test_extra_images_fit_the_data_set(changes: dict[str, Any], messages: list[str]) -> None:
    extra: DatasetDescription = dataset_description(**changes)
    problems = extra_data_problems("pictures", dataset_description(), "more", extra)
    assert plain(problems) == [(("data", "extra", "dataset"), message) for message in messages]


@pytest.mark.parametrize(
    ("field", "accepted", "refused"),
    [
        (
            "scale",
            [(1.0, 1.0), (0.001, 1.0), (0.5, 0.5)],
            [(0.0, 1.0), (0.5, 1.001), (0.6, 0.5), (-0.1, 0.5)],
        ),
        (
            "ratio",
            [(0.01, 100.0), (1.0, 1.0), (0.5, 0.5)],
            [(0.0099, 1.0), (1.0, 100.1), (1.1, 1.0)],
        ),
    ],
)
def test_resized_crops_at_their_limits(
    field: str, accepted: list[tuple[float, float]], refused: list[tuple[float, float]]
) -> None:
    for value in accepted:
        assert getattr(ResizedCrop(**{field: value}), field) == value
    for value in refused:
        with pytest.raises(ValidationError, match="the smaller first"):
            ResizedCrop(**{field: value})


def test_images_are_cropped_once() -> None:
    with pytest.raises(ValidationError, match="images are cropped once"):
        Augmentation(crop_padding=1, resized_crop=ResizedCrop())
    assert Augmentation(crop_padding=0, resized_crop=ResizedCrop()).crop_padding == 0


def test_classes_of_an_import_are_chosen_in_one_way() -> None:
    with pytest.raises(ValidationError, match="by a list or by every, not by both"):
        ImportOptions(classes=("a", "b"), every=2)
    with pytest.raises(ValidationError, match="classes has 'b' twice"):
        ImportOptions(classes=("b", "a", "b"))
    assert ImportOptions(classes=("a", "b")).every is None
    assert ImportOptions(every=2).classes is None


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValidationError, match="nesterov needs a momentum above 0"):
        Schedule(nesterov=True, momentum=0.0)
    assert Schedule(nesterov=False, momentum=0.0).momentum == 0
    assert Schedule(nesterov=True, momentum=0.1).nesterov
