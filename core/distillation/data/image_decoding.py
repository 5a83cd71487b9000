"""Opens somebody's image files, within limits: the header is checked before a pixel is decoded."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from threading import Lock

from PIL import Image

from core.distillation.data.importing.file_kinds import quoted
from core.distillation.data.importing.file_source import Files
from core.errors import Refused

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
SMALLEST_SIDE, LARGEST_SIDE = 8, 512
MAX_FILE_BYTES = 16 * 2**20
THREADS = min(8, os.cpu_count() or 1)
GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""Pillow's modes of at most 8 bits a channel; a palette counts as colour. Transparency is dropped."""


@dataclass(frozen=True)
class Limits:
    side: int
    pixels: int

    def __str__(self) -> str:
        square = f"{self.side}x{self.side}"
        return (
            square if self.pixels == self.side**2 else f"{square}, and {self.pixels} pixels in all,"
        )


TO_DECODE = Limits(LARGEST_SIDE, LARGEST_SIDE**2)
TO_KEEP = Limits(side=16_384, pixels=2**26)
"""Of images that stay encoded: photographs as cameras take them."""
LARGE_PIXELS = 2**23
_one_large_image = Lock()


def opened(files: Files, path: str, limits: Limits) -> tuple[Image.Image, bytes]:
    """Its header read and checked, its pixels not yet decoded; and the file's bytes."""
    size = files.size(path)
    if size > MAX_FILE_BYTES:
        raise Refused(
            f"{quoted(path)} has {size} bytes; an image may have {MAX_FILE_BYTES}.",
            code="too_large",
        )
    data = files.read(path)
    with broken_image_refused(path):
        image = Image.open(BytesIO(data), formats=FORMATS)
    _check(path, image, limits)
    return image, data


def _check(path: str, image: Image.Image, limits: Limits) -> None:
    size = f"{quoted(path)} has {image.width}x{image.height} pixels"
    if max(image.size) > limits.side or image.width * image.height > limits.pixels:
        advice = "" if limits is TO_KEEP else " With image_size they may be larger."
        raise Refused(f"{size}; at most {limits} are possible.{advice}", code="too_large")
    if min(image.size) < SMALLEST_SIDE:
        raise Refused(
            f"{size}; at least {SMALLEST_SIDE}x{SMALLEST_SIDE} are needed.", code="too_small"
        )
    if image.mode not in GREY | COLOUR:
        raise Refused(
            f"{quoted(path)} has more than 8 bits a channel, or an unknown kind of pixel ({image.mode}).",
            code="unreadable_image",
        )


@contextmanager
def broken_image_refused(path: str) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Refused(
            f"{quoted(path)} has more pixels than are possible.", code="too_large"
        ) from error
    except MemoryError:  # not the image's fault: its pixels are few enough
        raise
    except (
        Exception
    ) as error:  # the bytes are in memory: whatever a decoder raises now is the image's fault
        raise Refused(
            f"{quoted(path)} cannot be read as an image ({', '.join(FORMATS)}).",
            code="unreadable_image",
        ) from error


@contextmanager
def few_pixels_only(limits: Limits) -> Iterator[None]:
    """Pillow's own guard against decompression bombs, set to what is possible here."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limits.pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def alone_if_large(image: Image.Image) -> AbstractContextManager[object]:
    """Around decoding: several of the largest at once would take gigabytes."""
    return _one_large_image if image.width * image.height > LARGE_PIXELS else nullcontext()
