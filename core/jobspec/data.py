"""Which images a job trains on, and what is known of a data set without opening it."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from core.jobspec.base import Spec


class ResizedCrop(Spec):
    """A box of random area, shape and place, scaled to the size of the images: how ImageNet is trained on."""

    scale: tuple[float, float] = Field(default=(0.08, 1.0), strict=False)
    """Least and largest share of the image's area."""
    ratio: tuple[float, float] = Field(default=(3 / 4, 4 / 3), strict=False)
    """Narrowest and widest box, as width / height."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(
                f"scale goes from above 0 to at most 1, the smaller share first; {self.scale} does not"
            )
        if not 0.01 <= self.ratio[0] <= self.ratio[1] <= 100:
            raise ValueError(
                f"ratio goes from 0.01 to 100, the narrower first; {self.ratio} does not"
            )
        return self


class Augmentation(Spec):
    """How training images are varied from epoch to epoch."""

    crop_padding: int = Field(default=4, ge=0, le=64)
    """Random crop after zero padding by so many pixels; 0: none, as beside `resized_crop`."""
    resized_crop: ResizedCrop | None = None
    """In place of the padded crop, for data sets of encoded images."""
    flip: bool = True
    """Random horizontal flip."""

    @model_validator(mode="before")
    @classmethod
    def _one_crop(cls, body: Any) -> Any:
        resized = isinstance(body, dict) and body.get("resized_crop") is not None
        return {"crop_padding": 0, **body} if resized else body

    @model_validator(mode="after")
    def _not_two_crops(self) -> Self:
        if self.resized_crop is not None and self.crop_padding:
            raise ValueError("images are cropped once: by crop_padding or by resized_crop")
        return self


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
    """Default: by the data set. Colour images: crop with an eighth of the side as padding, and flip; grey ones: none.
    Encoded images are cropped by `resized_crop` instead."""


ClassName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00/]+$")]


class Reading(Spec):
    """How somebody's files are to become a data set."""

    image_size: int | None = Field(default=None, ge=8, le=512)
    """Images stay encoded (JPEG, PNG, ...) and become so many pixels high and wide when they are used; None: they are decoded
    once, and must all have one size."""
    classes: tuple[ClassName, ...] | None = Field(
        default=None, strict=False, min_length=2, max_length=10_000
    )
    """Class folders to keep, in the order of their labels; of an .npz: the names of its labels."""
    every: int | None = Field(default=None, ge=2, le=10_000)
    """10 keeps the 1st, 11th, 21st, ... class of the sorted list, which makes an ImageNet-100 of ImageNet's 1000."""

    @classmethod
    def of(cls, whole: "Reading") -> "Reading":
        """These settings alone, of something that has more."""
        return Reading(image_size=whole.image_size, classes=whole.classes, every=whole.every)

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.classes is not None and self.every is not None:
            raise ValueError("classes are chosen by a list or by every, not by both")
        seen: set[str] = set()
        for name in self.classes or ():
            if name in seen:
                raise ValueError(f"classes has {name!r} twice")
            seen.add(name)
        return self


class DatasetDescription(Spec):
    """What the import job found. `digits` comes with the program; of every other data set there is one file: of decoded images
    of one size (packed), or of images as they came (encoded), which become `height` x `width` pixels when they are used."""

    source: Literal["digits", "packed", "encoded"]
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
