"""Opens image files within limits: a header is checked before a pixel is decoded."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from threading import Lock

from PIL import Image

from core.distillation.data.quoting import quote
from core.errors import Refused

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
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
    _check_header(name, image, limits)
    return image


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
