"""Somebody's image files -> one array of bytes. N images, C H W image."""

import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.distillation.data.archive import Progress
from core.distillation.data.file_kinds import quoted
from core.errors import Refused

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
SMALLEST_SIDE, LARGEST_SIDE = 8, 512
MAX_FILE_BYTES = 16 * 2**20
MAX_PACKED_BYTES = 4 * 2**30
FILES_AT_ONCE = 256
GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""Pillow's modes of at most 8 bits a channel; a palette counts as colour. Transparency is dropped."""


@dataclass(frozen=True)
class _Shape:
    channels: int
    width: int
    height: int
    set_by: str
    """The first file: all others must have its size."""


class _ColourMet(Exception):
    """Every image so far was grey, this one is not."""


def decode(root: Path, files: Sequence[str], progress: Progress) -> Tensor:
    """uint8 [N, C, H, W] in the order of ``files`` (paths below ``root``), with one channel if every image is grey, else three.

    Raises Refused naming the first file that cannot be used: unreadable_image, mixed_sizes, too_small, too_large.
    """
    with _few_pixels_only():
        first = _opened(root, files[0])
        shape = _Shape(1 if first.mode in GREY else 3, *first.size, set_by=files[0])
        try:
            return _decode(root, files, shape, progress)
        except _ColourMet:
            return _decode(root, files, _Shape(3, *first.size, set_by=files[0]), progress)


def _decode(root: Path, files: Sequence[str], shape: _Shape, progress: Progress) -> Tensor:
    packed_bytes = len(files) * shape.channels * shape.width * shape.height
    if packed_bytes > MAX_PACKED_BYTES:
        raise Refused(
            f"{len(files)} images of {shape.width}x{shape.height} pixels take {packed_bytes} bytes, "
            f"more than the {MAX_PACKED_BYTES // 2**30} GiB a data set may have.",
            code="too_large",
        )
    images = np.empty((len(files), shape.channels, shape.height, shape.width), np.uint8)

    def decode_some(start: int) -> None:
        for at in range(start, min(start + FILES_AT_ONCE, len(files))):
            images[at] = _pixels(root, files[at], shape)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            for done, _ in enumerate(pool.map(decode_some, range(0, len(files), FILES_AT_ONCE)), start=1):
                progress(min(done * FILES_AT_ONCE, len(files)), len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(images)


def _pixels(root: Path, file: str, shape: _Shape) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """[C, H, W]."""
    image = _opened(root, file)
    if image.size != (shape.width, shape.height):
        raise Refused(
            f"{quoted(file)} has {image.width}x{image.height} pixels, {quoted(shape.set_by)} {shape.width}x{shape.height}; "
            "all images must have one size.",
            code="mixed_sizes",
        )
    if shape.channels == 1 and image.mode not in GREY:
        raise _ColourMet
    with _broken_image_refused(file):
        pixels = np.asarray(image.convert("L" if shape.channels == 1 else "RGB"))
    return pixels.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1)


def _opened(root: Path, file: str) -> Image.Image:
    """Its header read and checked, its pixels not yet decoded."""
    path = root / file
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise Refused(f"{quoted(file)} is not a regular file.", code="unreadable_image")
    if facts.st_size > MAX_FILE_BYTES:
        raise Refused(f"{quoted(file)} has {facts.st_size} bytes; an image may have {MAX_FILE_BYTES}.", code="too_large")
    data = path.read_bytes()
    with _broken_image_refused(file):
        image = Image.open(BytesIO(data), formats=FORMATS)
    _check(file, image)
    return image


def _check(file: str, image: Image.Image) -> None:
    size = f"{quoted(file)} has {image.width}x{image.height} pixels"
    if max(image.size) > LARGEST_SIDE:
        raise Refused(f"{size}; at most {LARGEST_SIDE}x{LARGEST_SIDE} are possible.", code="too_large")
    if min(image.size) < SMALLEST_SIDE:
        raise Refused(f"{size}; at least {SMALLEST_SIDE}x{SMALLEST_SIDE} are needed.", code="too_small")
    if image.mode not in GREY | COLOUR:
        raise Refused(
            f"{quoted(file)} has more than 8 bits a channel, or an unknown kind of pixel ({image.mode}).", code="unreadable_image"
        )


@contextmanager
def _broken_image_refused(file: str) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Refused(f"{quoted(file)} has more than {LARGEST_SIDE}x{LARGEST_SIDE} pixels.", code="too_large") from error
    except Exception as error:  # the bytes are in memory: whatever a decoder raises now is the image's fault
        raise Refused(f"{quoted(file)} cannot be read as an image ({', '.join(FORMATS)}).", code="unreadable_image") from error


@contextmanager
def _few_pixels_only() -> Iterator[None]:
    """Pillow's own guard against decompression bombs, set to what is possible here."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = LARGEST_SIDE**2
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
