"""Decodes image files of one size into one array. N images, C H W image."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.distillation.data.image_decoding import (
    DECODED_LIMITS,
    THREADS,
    pillow_pixel_limit,
    refuse_unreadable_image,
    turn_upright,
    upright_size,
)
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.image_files import (
    ImageCounts,
    ImageFile,
    UnusableImages,
    decode_image_file,
    open_image_file,
)
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


def decode_images(
    files: FileSource, paths: Sequence[str], progress: ProgressCallback
) -> tuple[Tensor, list[str]]:
    """Return uint8 [N, C, H, W] in the order of ``paths``, and remarks for the report.

    C is 1 if every image is gray, else 3. Raises Refused: mixed_sizes, naming the first image of
    another size; unreadable_image, too_small or too_large, naming all that cannot be used.
    """
    with pillow_pixel_limit(DECODED_LIMITS):
        shape = _first_shape(files, paths)
        try:
            return _decode(files, paths, shape, progress)
        except _ColorImageError:
            return _decode(files, paths, replace(shape, channels=3), progress)


def _first_shape(files: FileSource, paths: Sequence[str]) -> _Shape:
    """Return the shape of the first image that can be used. Raises Refused where none can."""
    unusable = UnusableImages()
    for path in paths:
        try:
            image, file = _decode_file(files, path)
        except Refused as error:
            unusable.add(path, error)
            continue
        size = upright_size(image.size, file.orientation)
        return _Shape(1 if file.is_gray else 3, *size, first_path=path)
    unusable.refuse()
    raise ValueError("There are no images.")


def _decode(
    files: FileSource, paths: Sequence[str], shape: _Shape, progress: ProgressCallback
) -> tuple[Tensor, list[str]]:
    _check_packed_size(len(paths), shape)
    images_NCHW = np.empty((len(paths), shape.channels, shape.height, shape.width), np.uint8)
    unusable = UnusableImages()
    counts = ImageCounts()

    def decode_chunk(start: int) -> list[ImageFile | Refused]:
        results: list[ImageFile | Refused] = []
        for index in range(start, min(start + FILES_PER_TASK, len(paths))):
            try:
                file, images_NCHW[index] = _pixels(files, paths[index], shape)
                results.append(replace(file, data=b""))  # of all files, they may not fit in memory
            except Refused as error:
                results.append(error)
        return results

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            chunks = pool.map(decode_chunk, range(0, len(paths), FILES_PER_TASK))
            results = zip(paths, chain.from_iterable(chunks), strict=True)
            for completed, (path, result) in enumerate(results, start=1):
                if isinstance(result, Refused):
                    unusable.add(path, result)
                else:
                    counts.add(result)
                if completed % FILES_PER_TASK == 0 or completed == len(paths):
                    progress(completed, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    unusable.refuse()
    return torch.from_numpy(images_NCHW), counts.remarks()


def _check_packed_size(count: int, shape: _Shape) -> None:
    packed_bytes = count * shape.channels * shape.width * shape.height
    if packed_bytes > MAX_PACKED_BYTES:
        raise Refused(
            f"{count} images of {shape.width}x{shape.height} pixels take {packed_bytes} bytes "
            f"when decoded; a data set of decoded images may have at most "
            f"{MAX_PACKED_BYTES // 2**30} GiB.",
            code="too_large",
        )


def _decode_file(files: FileSource, path: str) -> tuple[Image.Image, ImageFile]:
    image, data = open_image_file(files, path, DECODED_LIMITS)
    return image, decode_image_file(image, data, path)


def _pixels(
    files: FileSource, path: str, shape: _Shape
) -> tuple[ImageFile, "np.ndarray[Any, np.dtype[np.uint8]]"]:
    """Return what is known of the image, and its pixels [C, H, W], upright."""
    image, file = _decode_file(files, path)
    width, height = upright_size(image.size, file.orientation)
    if (width, height) != (shape.width, shape.height):
        raise Refused(
            f"{quote(path)} has {width}x{height} pixels, and {quote(shape.first_path)} "
            f"has {shape.width}x{shape.height}; all images must have the same size. "
            "Set image_size to import images of different sizes.",
            code="mixed_sizes",
        )
    if shape.channels == 1 and not file.is_gray:
        raise _ColorImageError
    with refuse_unreadable_image(path):
        upright = turn_upright(image, file.orientation)
        pixels = np.asarray(upright.convert("L" if shape.channels == 1 else "RGB"))
    return file, pixels.reshape(height, width, shape.channels).transpose(2, 0, 1)
