"""Settings of augmentation and of reading a data set."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.jobspec.data import Augmentation, ImportOptions, ResizedCrop
from core.jobspec.defaults import default_augmentation
from tests.builders import dataset_description


@pytest.mark.parametrize(
    "body", [{"resized_crop": {}}, {"resized_crop": {"scale": [0.5, 1]}, "crop_padding": 0}]
)
def test_a_resized_crop_takes_the_place_of_the_padded_one(body: dict[str, Any]) -> None:
    assert Augmentation.model_validate(body).crop_padding == 0


def test_without_a_resized_crop_images_are_padded_and_cropped() -> None:
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
def test_crops_that_cannot_be_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(body)


@pytest.mark.parametrize(
    ("facts", "expected"),
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
def test_augmentation_is_by_the_kind_of_image_where_nothing_is_said(
    facts: dict[str, Any], expected: Augmentation
) -> None:
    assert default_augmentation(dataset_description(**facts)) == expected


def test_a_stored_reading_is_read_again() -> None:
    wanted = ImportOptions(image_size=224, classes=("b", "a"))
    assert ImportOptions.model_validate(wanted.model_dump(mode="json", exclude_none=True)) == wanted
