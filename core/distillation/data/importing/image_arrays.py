"""Decodes image files of one size into one array. N images, C H W image."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.distillation.data.image_decoding import (
    DECODED_LIMITS,
    GRAY_MODES,
    THREADS,
    pillow_pixel_limit,
    refuse_unreadable_image,
)
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.image_files import open_image_file
from core.distillation.data.quoting import quote
from core.errors import Refused

MAX_PACKED_BYTES = 4 * 2**30
FILES_PER_TASK = 256
"""Files that a thread decodes one after the other, between two reports of progress."""


@dataclass(frozen=True)
class _Shape:
    channels: int
    width: int
    height: int
    first_path: str
    """The file that set the size: all others must have it too."""


class _ColorImageError(Exception):
    """An image has colors, and every image before it was gray."""


def decode_images(files: FileSource, paths: Sequence[str], progress: ProgressCallback) -> Tensor:
    """Return uint8 [N, C, H, W] in the order of ``paths``: C is 1 if every image is gray, else 3.

    Raises Refused naming the first file that cannot be used: unreadable_image, mixed_sizes,
    too_small, too_large.
    """
    with pillow_pixel_limit(DECODED_LIMITS):
        first, _ = open_image_file(files, paths[0], DECODED_LIMITS)
        channels = 1 if first.mode in GRAY_MODES else 3
        shape = _Shape(channels, *first.size, first_path=paths[0])
        try:
            return _decode(files, paths, shape, progress)
        except _ColorImageError:
            return _decode(files, paths, replace(shape, channels=3), progress)


def _decode(
    files: FileSource, paths: Sequence[str], shape: _Shape, progress: ProgressCallback
) -> Tensor:
    packed_bytes = len(paths) * shape.channels * shape.width * shape.height
    if packed_bytes > MAX_PACKED_BYTES:
        raise Refused(
            f"{len(paths)} images of {shape.width}x{shape.height} pixels take {packed_bytes} bytes "
            f"when decoded; a data set of decoded images may have at most "
            f"{MAX_PACKED_BYTES // 2**30} GiB.",
            code="too_large",
        )
    images_NCHW = np.empty((len(paths), shape.channels, shape.height, shape.width), np.uint8)

    def decode_chunk(start: int) -> None:
        for index in range(start, min(start + FILES_PER_TASK, len(paths))):
            images_NCHW[index] = _pixels(files, paths[index], shape)

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            chunks = pool.map(decode_chunk, range(0, len(paths), FILES_PER_TASK))
            for completed, _ in enumerate(chunks, start=1):
                progress(min(completed * FILES_PER_TASK, len(paths)), len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(images_NCHW)


def _pixels(files: FileSource, path: str, shape: _Shape) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Return [C, H, W]."""
    image, _ = open_image_file(files, path, DECODED_LIMITS)
    if image.size != (shape.width, shape.height):
        raise Refused(
            f"{quote(path)} has {image.width}x{image.height} pixels, and {quote(shape.first_path)} "
            f"has {shape.width}x{shape.height}; all images must have the same size. "
            "Set image_size to import images of different sizes.",
            code="mixed_sizes",
        )
    if shape.channels == 1 and image.mode not in GRAY_MODES:
        raise _ColorImageError
    with refuse_unreadable_image(path):
        pixels = np.asarray(image.convert("L" if shape.channels == 1 else "RGB"))
    return pixels.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1)
