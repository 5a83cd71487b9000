"""Somebody's image files, all of one size -> one array of bytes. N images, C H W image."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.distillation.data.image_decoding import (
    GREY,
    THREADS,
    TO_DECODE,
    broken_image_refused,
    few_pixels_only,
    opened,
)
from core.distillation.data.importing.file_kinds import quoted
from core.distillation.data.importing.file_source import Files, Progress
from core.errors import Refused

MAX_PACKED_BYTES = 4 * 2**30
FILES_AT_ONCE = 256


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
    with few_pixels_only(TO_DECODE):
        first, _ = opened(files, paths[0], TO_DECODE)
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
            for done, _ in enumerate(
                pool.map(decode_some, range(0, len(paths), FILES_AT_ONCE)), start=1
            ):
                progress(min(done * FILES_AT_ONCE, len(paths)), len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(images)


def _pixels(files: Files, path: str, shape: _Shape) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """[C, H, W]."""
    image, _ = opened(files, path, TO_DECODE)
    if image.size != (shape.width, shape.height):
        raise Refused(
            f"{quoted(path)} has {image.width}x{image.height} pixels, {quoted(shape.set_by)} {shape.width}x{shape.height}; "
            "all images must have one size.",
            code="mixed_sizes",
        )
    if shape.channels == 1 and image.mode not in GREY:
        raise _ColourMet
    with broken_image_refused(path):
        pixels = np.asarray(image.convert("L" if shape.channels == 1 else "RGB"))
    return pixels.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1)
