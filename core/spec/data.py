"""Which images a job trains on, and what is known of a data set without opening it."""

from typing import Literal

from pydantic import Field

from core.spec.base import Spec


class Augmentation(Spec):
    """How training images are varied from epoch to epoch."""

    crop_padding: int = Field(default=4, ge=0, le=64)
    """Random crop after zero padding by so many pixels; 0: none."""
    flip: bool = True
    """Random horizontal flip."""


class ExtraData(Spec):
    """More training images, such as synthetic ones (Table 5 of the paper): a data set without test images will do."""

    dataset: str = Field(min_length=1, max_length=100)
    """Id or name of a data set with images of the same shape, and no more classes."""
    ratio: float = Field(default=0.7, gt=0, lt=1)
    """Their share of every batch."""


class Data(Spec):
    """A data set, the part of its training images held out for model selection, and the augmentation."""

    dataset: str = Field(min_length=1, max_length=100)
    """Id or name of a data set."""
    held_out: float = Field(default=0.02, gt=0, le=0.5)
    """Share of the training images kept from training, to choose the best checkpoint by. The test images never are."""
    limit: int | None = Field(default=None, ge=1, le=100_000_000)
    """Use only so many training images (the report says so)."""
    extra: ExtraData | None = None
    """Further training images, mixed into every batch."""
    augmentation: Augmentation | None = None
    """Default: by the data set. Colour images: crop with an eighth of the side as padding, and flip; grey ones: none."""


class DatasetDescription(Spec):
    """What the import job found. `digits` comes with the program; every other data set is one packed file."""

    source: Literal["digits", "packed"]
    classes: int = Field(ge=2, le=100_000)
    class_names: tuple[str, ...] = Field(strict=False)
    channels: int = Field(ge=1, le=3)
    height: int = Field(ge=8, le=512)
    width: int = Field(ge=8, le=512)
    train_images: int = Field(ge=1)
    test_images: int = Field(ge=0)
    """0: it can only be extra training data."""


DIGITS = DatasetDescription(
    source="digits",
    classes=10,
    class_names=tuple("0123456789"),
    channels=1,
    height=8,
    width=8,
    train_images=1437,
    test_images=360,
)
"""scikit-learn's handwritten digits: every fifth image is a test image."""
