"""Opens image files within limits: a header is checked before a pixel is decoded."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from math import prod
from threading import Lock

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from core.distillation.data.quoting import quote
from core.errors import Refused

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM", "GIF", "TIFF")
"""Pillow's decoders of these are in wide use; it has many more, for which nothing speaks."""
MIN_SIDE = 8
MAX_SIDE = 512
MAX_FILE_BYTES = 16 * 2**20
THREADS = min(8, os.cpu_count() or 1)
GRAY_MODES = frozenset({"1", "L", "LA"})
COLOR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""Pillow's modes of at most 8 bits a channel. Palettes count as color; transparency is dropped."""


@dataclass(frozen=True)
class SizeLimits:
    side: int
    pixels: int

    def __str__(self) -> str:
        square = f"{self.side}x{self.side}"
        if self.pixels == self.side**2:
            return square
        return f"{square} and {self.pixels} pixels in all"


DECODED_LIMITS = SizeLimits(MAX_SIDE, MAX_SIDE**2)
ENCODED_LIMITS = SizeLimits(side=16_384, pixels=2**26)
"""Of images that stay encoded: photographs as cameras take them."""
LARGE_PIXELS = 2**23
TIFF_TILE_TAGS = (322, 323)
"""Width and length of a tile: libtiff allocates a whole one, whatever the size of the image."""
EXIF_ORIENTATION = 274
UPRIGHT = 1
FIRST_ON_ITS_SIDE = 5
FORMATS_WITH_FRAMES = frozenset({"PNG", "WEBP", "GIF", "TIFF"})
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright that is stored in this orientation (Exif 2.32, table 6).

ROTATE_270 turns by 90 degrees clockwise.
"""
_large_images = Lock()


def check_file_size(name: str, size: int) -> None:
    """Raise Refused (too_large) for a file that is too large to be an image. In bytes."""
    if size > MAX_FILE_BYTES:
        raise Refused(
            f"{quote(name)} has {size} bytes; an image file may have at most {MAX_FILE_BYTES}.",
            code="too_large",
        )


def open_image(name: str, data: bytes, limits: SizeLimits) -> Image.Image:
    """Return an image whose header is read and checked, and whose pixels are not decoded yet.

    Raises Refused: unreadable_image, too_small, too_large.
    """
    with refuse_unreadable_image(name):
        image = Image.open(BytesIO(data), formats=FORMATS)
        tile_sides = _tile_sides(image)
    _check_header(name, image, limits)
    if max(tile_sides) > ENCODED_LIMITS.side or prod(tile_sides) > ENCODED_LIMITS.pixels:
        raise Refused(
            f"{quote(name)} has tiles of {tile_sides[0]}x{tile_sides[1]} pixels; a tile may have "
            f"at most {ENCODED_LIMITS}.",
            code="too_large",
        )
    return image


def _tile_sides(image: Image.Image) -> list[int]:
    if not isinstance(image, TiffImageFile):
        return [0, 0]
    return [int(image.tag_v2.get(tag, 0)) for tag in TIFF_TILE_TAGS]


def _check_header(name: str, image: Image.Image, limits: SizeLimits) -> None:
    size = f"{quote(name)} has {image.width}x{image.height} pixels"
    if max(image.size) > limits.side or image.width * image.height > limits.pixels:
        advice = "" if limits is ENCODED_LIMITS else " Set image_size to import larger images."
        raise Refused(f"{size}; an image may have at most {limits}.{advice}", code="too_large")
    if min(image.size) < MIN_SIDE:
        raise Refused(
            f"{size}; an image must have at least {MIN_SIDE}x{MIN_SIDE}.", code="too_small"
        )
    if image.mode not in GRAY_MODES | COLOR_MODES:
        raise Refused(
            f"{quote(name)} has more than 8 bits a channel, or pixels of an unknown kind "
            f"({image.mode}); save it as 8-bit gray or RGB.",
            code="unreadable_image",
        )


def exif_orientation(image: Image.Image) -> int:
    """Return how an image is stored, 1 to 8, once its pixels are decoded. 1: upright.

    Metadata may follow the pixels. Pillow turns the pixels of a TIFF itself, when it decodes them.
    """
    if isinstance(image, TiffImageFile):
        return UPRIGHT
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
    except Exception:  # damaged metadata says nothing of the pixels
        return UPRIGHT
    return int(orientation) if orientation in TURNS else UPRIGHT


def is_turned_by_pillow(image: Image.Image) -> bool:
    """Return whether Pillow turns the pixels upright itself, once it decodes them."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(EXIF_ORIENTATION) in TURNS


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image as every viewer shows it."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (width, height) once the image is upright."""
    return (size[1], size[0]) if orientation >= FIRST_ON_ITS_SIDE else size


def has_more_frames(image: Image.Image) -> bool:
    """Return whether a file has more images than the first, which is the only one that is used."""
    if image.format not in FORMATS_WITH_FRAMES:
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first image is damaged, and not used
        return True


@contextmanager
def refuse_unreadable_image(name: str) -> Iterator[None]:
    """Turn what Pillow raises for bytes in memory into Refused."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Refused(
            f"{quote(name)} has more pixels than an image may have.", code="too_large"
        ) from error
    except MemoryError:  # not the image's fault: the number of its pixels is checked
        raise
    except Exception as error:
        # No input or output happens here, so whatever a decoder raises is the image's fault.
        raise Refused(
            f"{quote(name)} cannot be read as an image; supported formats are "
            f"{', '.join(FORMATS)}.",
            code="unreadable_image",
        ) from error


@contextmanager
def pillow_pixel_limit(limits: SizeLimits) -> Iterator[None]:
    """Set Pillow's own guard against decompression bombs to these limits."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limits.pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def large_image_lock(image: Image.Image) -> AbstractContextManager[object]:
    """Return a lock to hold while decoding a large image: several at once would take gigabytes."""
    is_large = image.width * image.height > LARGE_PIXELS
    return _large_images if is_large else nullcontext()
