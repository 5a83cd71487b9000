"""Draws thumbnails on sheets: pictures that a browser shows, so that nothing else decodes images.

B images, C H W image.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.jobspec.data import SHEET_IMAGES, DatasetDescription, Thumbnail, ThumbnailSheet

MAX_SIDE = 64
"""Of a thumbnail, in pixels. Smaller images keep their size: the page enlarges them."""
MAX_LOSSLESS_SIDE = 32
COLUMNS = 16
QUALITY = 80
MAX_BYTES = 64 * 2**20
"""Of all sheets of a data set. Classes that have no room have no thumbnails."""
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Split = Literal["train", "test"]
LoadImages = Callable[[Tensor], Tensor]
"""Indices [B] of a part's images -> these images as floats in [0, 1], [B, C, H, W]."""


@dataclass(frozen=True)
class SheetDrawing:
    """A sheet, and its picture as a WebP file."""

    sheet: ThumbnailSheet
    content: bytes


def thumbnail_size(description: DatasetDescription) -> tuple[int, int]:
    """Return (width, height): the images' own, or one whose larger side is 64."""
    scale = min(1.0, MAX_SIDE / max(description.width, description.height))
    return (
        max(1, round(scale * description.width)),
        max(1, round(scale * description.height)),
    )


def draw_sheets(
    thumbnails: Iterable[Thumbnail],
    load_images: Mapping[Split, LoadImages],
    description: DatasetDescription,
) -> Iterator[SheetDrawing]:
    """Yield the sheets in the order of the labels, as many as ``MAX_BYTES`` allow.

    Of a label, the thumbnails are in the order of ``thumbnails``. Few images are loaded at a time.
    """
    size = thumbnail_size(description)
    remaining_bytes = MAX_BYTES
    for number, images in enumerate(_divide(sorted(thumbnails, key=_label))):
        content = _draw(images, load_images, size)
        remaining_bytes -= len(content)
        if remaining_bytes < 0:
            return
        sheet = ThumbnailSheet(
            file=f"thumbnails-{number:03d}.webp",
            columns=COLUMNS,
            tile_width=size[0],
            tile_height=size[1],
            images=tuple(images),
        )
        yield SheetDrawing(sheet, content)


def _label(thumbnail: Thumbnail) -> int:
    return thumbnail[0]


def _divide(thumbnails: Iterable[Thumbnail]) -> Iterator[list[Thumbnail]]:
    """Yield the thumbnails of each sheet: those of a class are never on two."""
    sheet: list[Thumbnail] = []
    for _, group in groupby(thumbnails, _label):
        of_class = list(group)
        if len(sheet) + len(of_class) > SHEET_IMAGES:
            yield sheet
            sheet = []
        sheet += of_class
    if sheet:
        yield sheet


def _draw(
    thumbnails: Sequence[Thumbnail],
    load_images: Mapping[Split, LoadImages],
    size: tuple[int, int],
) -> bytes:
    """Return the picture as a WebP file."""
    width, height = size
    picture = Image.new("RGB", (COLUMNS * width, -(-len(thumbnails) // COLUMNS) * height))
    is_lossless = max(size) <= MAX_LOSSLESS_SIDE
    for start in range(0, len(thumbnails), COLUMNS):
        row = thumbnails[start : start + COLUMNS]
        for column, pixels in enumerate(_load_pixels(row, load_images)):
            tile = Image.fromarray(pixels)
            if tile.size != size:
                tile = tile.resize(size, Image.Resampling.LANCZOS)
            picture.paste(tile, (column * width, start // COLUMNS * height))
    buffer = BytesIO()
    picture.save(buffer, "WEBP", lossless=is_lossless, quality=QUALITY)
    return buffer.getvalue()


def _load_pixels(
    thumbnails: Sequence[Thumbnail], load_images: Mapping[Split, LoadImages]
) -> list[Pixels]:
    """Return each image as [H, W] or [H, W, 3], in the order of ``thumbnails``."""
    pixels: dict[Thumbnail, Pixels] = {}
    for split, load in load_images.items():
        of_split = [thumbnail for thumbnail in thumbnails if thumbnail[1] == split]
        if not of_split:
            continue
        images_BCHW = load(torch.tensor([index for _, _, index in of_split]))
        for thumbnail, image_CHW in zip(of_split, images_BCHW, strict=True):
            pixels[thumbnail] = _to_pixels(image_CHW)
    return [pixels[thumbnail] for thumbnail in thumbnails]


def _to_pixels(image_CHW: Tensor) -> Pixels:
    """Return a float image in [0, 1] as bytes: [H, W] if it is gray, else [H, W, 3]."""
    pixels_HWC: Pixels = (image_CHW * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    if pixels_HWC.shape[2] == 1:
        return pixels_HWC.squeeze(2)
    return pixels_HWC
