"""Settings of augmentation and of the import of a data set."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.jobspec.data import Augmentation, ImportOptions, ResizedCrop
from core.jobspec.defaults import default_augmentation
from tests.builders import dataset_description


@pytest.mark.parametrize(
    "body", [{"resized_crop": {}}, {"resized_crop": {"scale": [0.5, 1]}, "crop_padding": 0}]
)
def test_resized_crop_replaces_the_padded_one(body: dict[str, Any]) -> None:
    assert Augmentation.model_validate(body).crop_padding == 0


def test_default_crop_is_the_padded_one() -> None:
    assert Augmentation.model_validate({"resized_crop": None}).crop_padding == 4


@pytest.mark.parametrize(
    "body",
    [
        {"resized_crop": {}, "crop_padding": 4},
        {"resized_crop": {"scale": [0, 1]}},
        {"resized_crop": {"scale": [0.6, 0.5]}},
        {"resized_crop": {"scale": [0.5, 1.1]}},
        {"resized_crop": {"scale": [0.5]}},
        {"resized_crop": {"ratio": [0, 1]}},
        {"resized_crop": {"ratio": [2, 1]}},
        {"resized_crop": {"ratio": ["1", "2"]}},
    ],
)
def test_impossible_crops_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(body)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Augmentation(crop_padding=4, flip=True)),
        ({"channels": 1}, Augmentation(crop_padding=0, flip=False)),
        ({"source": "encoded"}, Augmentation(resized_crop=ResizedCrop(), flip=True)),
        (
            {"source": "encoded", "channels": 1},
            Augmentation(resized_crop=ResizedCrop(), flip=False),
        ),
    ],
)
def test_default_augmentation_depends_on_the_kind_of_images(
    changes: dict[str, Any], expected: Augmentation
) -> None:
    assert default_augmentation(dataset_description(**changes)) == expected


def test_stored_import_options_can_be_read_back() -> None:
    options = ImportOptions(image_size=224, classes=("b", "a"))
    assert (
        ImportOptions.model_validate(options.model_dump(mode="json", exclude_none=True)) == options
    )


def test_names_of_classes_are_composed() -> None:
    """In NFC, as the importer compares them: macOS writes NFD."""
    assert ImportOptions(classes=("Mo\u0308we", "wren")).classes == ("M\u00f6we", "wren")
    with pytest.raises(ValidationError, match="twice"):
        ImportOptions(classes=("Mo\u0308we", "M\u00f6we"))
