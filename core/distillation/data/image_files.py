"""Somebody's image files -> one array of bytes. N images, C H W image."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.distillation.data.file_kinds import quoted
from core.distillation.data.files import Files, Progress
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


def decode(files: Files, paths: Sequence[str], progress: Progress) -> Tensor:
    """uint8 [N, C, H, W] in the order of ``paths``, with one channel if every image is grey, else three.

    Raises Refused naming the first file that cannot be used: unreadable_image, mixed_sizes, too_small, too_large.
    """
    with _few_pixels_only():
        first = _opened(files, paths[0])
        shape = _Shape(1 if first.mode in GREY else 3, *first.size, set_by=paths[0])
        try:
            return _decode(files, paths, shape, progress)
        except _ColourMet:
            return _decode(files, paths, _Shape(3, *first.size, set_by=paths[0]), progress)


def _decode(files: Files, paths: Sequence[str], shape: _Shape, progress: Progress) -> Tensor:
    packed_bytes = len(paths) * shape.channels * shape.width * shape.height
    if packed_bytes > MAX_PACKED_BYTES:
        raise Refused(
            f"{len(paths)} images of {shape.width}x{shape.height} pixels take {packed_bytes} bytes, "
            f"more than the {MAX_PACKED_BYTES // 2**30} GiB a data set may have.",
            code="too_large",
        )
    images = np.empty((len(paths), shape.channels, shape.height, shape.width), np.uint8)

    def decode_some(start: int) -> None:
        for at in range(start, min(start + FILES_AT_ONCE, len(paths))):
            images[at] = _pixels(files, paths[at], shape)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            for done, _ in enumerate(pool.map(decode_some, range(0, len(paths), FILES_AT_ONCE)), start=1):
                progress(min(done * FILES_AT_ONCE, len(paths)), len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(images)


def _pixels(files: Files, path: str, shape: _Shape) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """[C, H, W]."""
    image = _opened(files, path)
    if image.size != (shape.width, shape.height):
        raise Refused(
            f"{quoted(path)} has {image.width}x{image.height} pixels, {quoted(shape.set_by)} {shape.width}x{shape.height}; "
            "all images must have one size.",
            code="mixed_sizes",
        )
    if shape.channels == 1 and image.mode not in GREY:
        raise _ColourMet
    with _broken_image_refused(path):
        pixels = np.asarray(image.convert("L" if shape.channels == 1 else "RGB"))
    return pixels.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1)


def _opened(files: Files, path: str) -> Image.Image:
    """Its header read and checked, its pixels not yet decoded."""
    size = files.size(path)
    if size > MAX_FILE_BYTES:
        raise Refused(f"{quoted(path)} has {size} bytes; an image may have {MAX_FILE_BYTES}.", code="too_large")
    data = files.read(path)
    with _broken_image_refused(path):
        image = Image.open(BytesIO(data), formats=FORMATS)
    _check(path, image)
    return image


def _check(path: str, image: Image.Image) -> None:
    size = f"{quoted(path)} has {image.width}x{image.height} pixels"
    if max(image.size) > LARGEST_SIDE:
        raise Refused(f"{size}; at most {LARGEST_SIDE}x{LARGEST_SIDE} are possible.", code="too_large")
    if min(image.size) < SMALLEST_SIDE:
        raise Refused(f"{size}; at least {SMALLEST_SIDE}x{SMALLEST_SIDE} are needed.", code="too_small")
    if image.mode not in GREY | COLOUR:
        raise Refused(
            f"{quoted(path)} has more than 8 bits a channel, or an unknown kind of pixel ({image.mode}).", code="unreadable_image"
        )


@contextmanager
def _broken_image_refused(path: str) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Refused(f"{quoted(path)} has more than {LARGEST_SIDE}x{LARGEST_SIDE} pixels.", code="too_large") from error
    except Exception as error:  # the bytes are in memory: whatever a decoder raises now is the image's fault
        raise Refused(f"{quoted(path)} cannot be read as an image ({', '.join(FORMATS)}).", code="unreadable_image") from error


@contextmanager
def _few_pixels_only() -> Iterator[None]:
    """Pillow's own guard against decompression bombs, set to what is possible here."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = LARGEST_SIDE**2
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
