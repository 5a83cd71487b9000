"""The images that a job trains on, and what is known of a data set without opening it."""

from typing import Annotated, Any, Literal, Self
from unicodedata import normalize

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from core.jobspec.base import Spec


class ResizedCrop(Spec):
    """A crop of random area, shape and position, scaled to the image size, as for ImageNet."""

    scale: tuple[float, float] = Field(default=(0.08, 1.0), strict=False)
    """Least and largest share of the image's area."""
    ratio: tuple[float, float] = Field(default=(3 / 4, 4 / 3), strict=False)
    """Least and largest width / height."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(
                f"scale is two shares above 0 and at most 1, the smaller first; {self.scale} is not"
            )
        if not 0.01 <= self.ratio[0] <= self.ratio[1] <= 100:
            raise ValueError(
                f"ratio is two numbers from 0.01 to 100, the smaller first; {self.ratio} is not"
            )
        return self


class Augmentation(Spec):
    """Random changes of the training images."""

    crop_padding: int = Field(default=4, ge=0, le=64)
    """Pixels of zero padding around the image before a random crop. 0: no crop; the default beside
    `resized_crop`."""
    resized_crop: ResizedCrop | None = None
    """A resized crop in place of the padded one, for data sets of encoded images."""
    flip: bool = True
    """Random horizontal flip."""

    @model_validator(mode="before")
    @classmethod
    def _default_to_one_crop(cls, body: Any) -> Any:
        resized = isinstance(body, dict) and body.get("resized_crop") is not None
        return {"crop_padding": 0, **body} if resized else body

    @model_validator(mode="after")
    def _check_one_crop(self) -> Self:
        if self.resized_crop is not None and self.crop_padding:
            raise ValueError("images are cropped once: by crop_padding or by resized_crop")
        return self


class ExtraData(Spec):
    """More training images, such as synthetic ones (Table 5 of the STARSHIP paper)."""

    dataset: str = Field(min_length=1, max_length=100)
    """Id or name of a data set with images of the same shape, and no more classes. It needs no test
    images."""
    ratio: float = Field(default=0.7, gt=0, lt=1)
    """Share of extra images in every batch."""


class TrainingData(Spec):
    """The training images: data set, held-out part and augmentation."""

    dataset: str = Field(min_length=1, max_length=100)
    """Id or name of a data set."""
    held_out: float = Field(default=0.02, gt=0, le=0.5)
    """Share of the training images that is held out to choose the best checkpoint by. Test images
    are never used for it."""
    limit: int | None = Field(default=None, ge=1, le=100_000_000)
    """Use at most this many training images. The report says so."""
    extra: ExtraData | None = None
    """More training images, mixed into every batch."""
    augmentation: Augmentation | None = None
    """Default: color images are cropped with an eighth of the side as padding, and flipped; gray
    images are not changed. Encoded images get `resized_crop` in place of the padded crop."""


def _normalize(name: str) -> str:
    """Return the name in Unicode's NFC, as the importer compares names: macOS writes NFD."""
    return normalize("NFC", name)


ClassName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00/]+$"),
    AfterValidator(_normalize),
]


class ImportOptions(Spec):
    """How uploaded files become a data set."""

    image_size: int | None = Field(default=None, ge=8, le=512)
    """Keep the images encoded (JPEG, PNG, ...) and scale them to this height and width, in pixels,
    when they are used. None: decode them once; all must have one size."""
    classes: tuple[ClassName, ...] | None = Field(
        default=None, strict=False, min_length=2, max_length=10_000
    )
    """Class folders to use, in the order of their labels. Of an .npz: the names of its labels."""
    every: int | None = Field(default=None, ge=2, le=10_000)
    """Use every n-th class of the sorted list: 10 takes the 1st, 11th, 21st, ..., which makes an
    ImageNet-100 of ImageNet's 1000 classes."""

    @classmethod
    def copy_from(cls, source: "ImportOptions") -> "ImportOptions":
        """Return the options alone of a larger model, such as a request's body."""
        return ImportOptions(
            image_size=source.image_size, classes=source.classes, every=source.every
        )

    @model_validator(mode="after")
    def _check_class_choice(self) -> Self:
        if self.classes is not None and self.every is not None:
            raise ValueError("classes are chosen by a list or by every, not by both")
        names: set[str] = set()
        for name in self.classes or ():
            if name in names:
                raise ValueError(f"classes has {name!r} twice")
            names.add(name)
        return self


class DatasetDescription(Spec):
    """What an import job learned of a data set.

    `digits` comes with the program. Every other data set is one file: of decoded images of one size
    (packed), or of encoded images, which are scaled to `height` x `width` pixels when they are
    used.
    """

    source: Literal["digits", "packed", "encoded"]
    classes: int = Field(ge=2, le=100_000)
    class_names: tuple[str, ...] = Field(strict=False)
    channels: int = Field(ge=1, le=3)
    height: int = Field(ge=8, le=512)
    width: int = Field(ge=8, le=512)
    train_images: int = Field(ge=1)
    test_images: int = Field(ge=0)
    """0: the data set can only be extra training data."""


Thumbnail = tuple[int, Literal["train", "test"], int]
"""An image of a data set: its label, its part, and its position in that part, from 0."""
SHEET_IMAGES = 256
"""Thumbnails on one sheet, at most."""


class ThumbnailSheet(Spec):
    """A picture of many thumbnails: row by row, class by class, each class on one sheet.

    All have one size, in pixels. The picture is lossless where they have their own size of at most
    32 pixels a side.
    """

    file: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,60}$")
    """Name of the picture, a WebP, among the files that the import has made."""
    columns: int = Field(ge=1, le=SHEET_IMAGES)
    tile_width: int = Field(ge=1, le=64)
    tile_height: int = Field(ge=1, le=64)
    images: tuple[Thumbnail, ...] = Field(strict=False, min_length=1, max_length=SHEET_IMAGES)


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
"""scikit-learn's handwritten digits. Every fifth image is a test image."""
