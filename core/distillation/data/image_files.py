"""Somebody's image files -> one array of bytes, or the same files once each was decoded. N images, C H W image."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from threading import Lock
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
THREADS = min(8, os.cpu_count() or 1)
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


@dataclass(frozen=True)
class _Limits:
    side: int
    pixels: int

    def __str__(self) -> str:
        square = f"{self.side}x{self.side}"
        return square if self.pixels == self.side**2 else f"{square}, and {self.pixels} pixels in all,"


_TO_DECODE = _Limits(LARGEST_SIDE, LARGEST_SIDE**2)
_TO_KEEP = _Limits(side=16_384, pixels=2**26)
"""Of images that stay encoded: photographs as cameras take them."""
LARGE_PIXELS = 2**23
_one_large_image = Lock()
"""Several at once would take gigabytes."""


class _ColourMet(Exception):
    """Every image so far was grey, this one is not."""


def decode(files: Files, paths: Sequence[str], progress: Progress) -> Tensor:
    """uint8 [N, C, H, W] in the order of ``paths``, with one channel if every image is grey, else three.

    Raises Refused naming the first file that cannot be used: unreadable_image, mixed_sizes, too_small, too_large.
    """
    with _few_pixels_only(_TO_DECODE):
        first, _ = _opened(files, paths[0], _TO_DECODE)
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

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for done, _ in enumerate(pool.map(decode_some, range(0, len(paths), FILES_AT_ONCE)), start=1):
                progress(min(done * FILES_AT_ONCE, len(paths)), len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(images)


def _pixels(files: Files, path: str, shape: _Shape) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """[C, H, W]."""
    image, _ = _opened(files, path, _TO_DECODE)
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


def verified(files: Files, paths: Sequence[str], progress: Progress) -> Iterator[tuple[bytes, bool]]:
    """The files' bytes in the order of ``paths``, each decoded for the sake of proof; and whether it is grey.

    Holds a few of them at a time. Raises Refused naming the first file that cannot be used: unreadable_image, too_small,
    too_large.
    """
    pending: deque[Future[tuple[bytes, bool]]] = deque()
    done = 0
    with _few_pixels_only(_TO_KEEP), ThreadPoolExecutor(THREADS) as pool:
        try:
            for path in [*paths, *[None] * 2 * THREADS]:
                if path is not None:
                    pending.append(pool.submit(_verified, files, path))
                if pending and (path is None or len(pending) > 2 * THREADS):
                    yield pending.popleft().result()
                    done += 1
                    progress(done, len(paths))
        finally:
            pool.shutdown(cancel_futures=True)


def _verified(files: Files, path: str) -> tuple[bytes, bool]:
    image, data = _opened(files, path, _TO_KEEP)
    with _one_large_image if image.width * image.height > LARGE_PIXELS else nullcontext(), _broken_image_refused(path):
        image.load()
    return data, image.mode in GREY


def _opened(files: Files, path: str, limits: _Limits) -> tuple[Image.Image, bytes]:
    """Its header read and checked, its pixels not yet decoded; and the file's bytes."""
    size = files.size(path)
    if size > MAX_FILE_BYTES:
        raise Refused(f"{quoted(path)} has {size} bytes; an image may have {MAX_FILE_BYTES}.", code="too_large")
    data = files.read(path)
    with _broken_image_refused(path):
        image = Image.open(BytesIO(data), formats=FORMATS)
    _check(path, image, limits)
    return image, data


def _check(path: str, image: Image.Image, limits: _Limits) -> None:
    size = f"{quoted(path)} has {image.width}x{image.height} pixels"
    if max(image.size) > limits.side or image.width * image.height > limits.pixels:
        raise Refused(f"{size}; at most {limits} are possible.", code="too_large")
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
        raise Refused(f"{quoted(path)} has more pixels than are possible.", code="too_large") from error
    except Exception as error:  # the bytes are in memory: whatever a decoder raises now is the image's fault
        raise Refused(f"{quoted(path)} cannot be read as an image ({', '.join(FORMATS)}).", code="unreadable_image") from error


@contextmanager
def _few_pixels_only(limits: _Limits) -> Iterator[None]:
    """Pillow's own guard against decompression bombs, set to what is possible here."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limits.pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
