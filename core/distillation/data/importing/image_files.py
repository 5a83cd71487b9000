"""Reads image files of an upload, and says of all that cannot be used which they are."""

from dataclasses import dataclass

from PIL import Image

from core.distillation.data.image_decoding import (
    GRAY_MODES,
    UPRIGHT,
    SizeLimits,
    check_file_size,
    exif_orientation,
    has_more_frames,
    is_turned_by_pillow,
    large_image_lock,
    open_image,
    refuse_unreadable_image,
)
from core.distillation.data.importing.file_source import FileSource
from core.distillation.data.quoting import quote
from core.errors import Refused

MAX_NAMED = 20
FAULTS_OF_ONE_IMAGE = frozenset({"unreadable_image", "too_small", "too_large"})


@dataclass(frozen=True)
class ImageFile:
    """A file whose image can be decoded, and what is known of the image."""

    data: bytes
    is_gray: bool
    orientation: int
    """How the image is stored, 1 to 8, as in Exif; 1 is upright."""
    has_more_frames: bool
    is_turned: bool
    """Whether it is upright only once it is turned, by Pillow or as ``orientation`` says."""


def open_image_file(files: FileSource, path: str, limits: SizeLimits) -> tuple[Image.Image, bytes]:
    """Return an image whose header is checked and whose pixels are not decoded, and its bytes.

    Raises Refused naming the file: unreadable_image, too_small, too_large.
    """
    size = files.size(path)
    if size == 0:
        raise Refused(f"{quote(path)} is empty; an image was expected.", code="unreadable_image")
    check_file_size(path, size)
    data = files.read(path)
    return open_image(path, data, limits), data


def decode_image_file(image: Image.Image, data: bytes, path: str) -> ImageFile:
    """Decode the pixels of an image that was opened. Raises Refused (unreadable_image).

    ``image`` has its pixels afterwards, as they are stored.
    """
    more_frames = has_more_frames(image)
    is_turned = is_turned_by_pillow(image)
    with large_image_lock(image), refuse_unreadable_image(path):
        image.load()
    orientation = exif_orientation(image)
    is_turned |= orientation != UPRIGHT
    return ImageFile(data, image.mode in GRAY_MODES, orientation, more_frames, is_turned)


class ImageCounts:
    """Counts what the report says of images that were changed, or used in part."""

    def __init__(self) -> None:
        self.turned = 0
        self.with_more_frames = 0

    def add(self, file: ImageFile) -> None:
        self.turned += file.is_turned
        self.with_more_frames += file.has_more_frames

    def remarks(self) -> list[str]:
        """Return sentences for the report."""
        remarks = []
        if self.turned:
            remarks.append(f"Images turned upright, as their Exif orientation says: {self.turned}.")
        if self.with_more_frames:
            remarks.append(
                "Files with more than one image, of which the first was imported: "
                f"{self.with_more_frames}."
            )
        return remarks


class UnusableImages:
    """Collects the images that cannot be used, to name them all in one refusal."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[tuple[str, Refused]] = []

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, path: str, error: Refused) -> None:
        """Raises ``error`` where it is not about this one image, but about the whole data set."""
        if error.code not in FAULTS_OF_ONE_IMAGE:
            raise error
        self._count += 1
        if len(self._first) < MAX_NAMED:
            self._first.append((path, error))

    def refuse(self) -> None:
        """Raise Refused naming the first of the images and how many there are, if any."""
        if not self._count:
            return
        if self._count == 1:
            raise self._first[0][1]
        names_by_reason: dict[str, list[str]] = {}
        for path, error in self._first:
            reason = error.message.removeprefix(quote(path)).strip()
            names_by_reason.setdefault(reason, []).append(quote(path))
        sentences = [f"{', '.join(names)}: {reason}" for reason, names in names_by_reason.items()]
        rest = self._count - len(self._first)
        end = f" And {rest} more." if rest else ""
        raise Refused(
            f"{self._count} images cannot be used. {' '.join(sentences)}{end}",
            code=self._first[0][1].code,
        )
