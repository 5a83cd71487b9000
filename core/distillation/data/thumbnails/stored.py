"""Thumbnails of a data set's file, packed or encoded, as its import has just written it.

B images of a batch.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from core.distillation.data import tensor_file
from core.distillation.data.encoded_images import EncodedImages
from core.distillation.data.images import ImageSource
from core.distillation.data.memory_mapped_images import ImageSelection, PackedImages
from core.distillation.data.tensor_file import Array
from core.distillation.data.thumbnails.selection import select_thumbnails
from core.distillation.data.thumbnails.sheets import (
    LoadImages,
    SheetDrawing,
    Split,
    draw_sheets,
    thumbnail_size,
)
from core.jobspec.data import DatasetDescription


def draw_thumbnails(path: Path, description: DatasetDescription) -> Iterator[SheetDrawing]:
    """Yield the sheets. Few images are in memory at a time."""
    tensors = tensor_file.map_tensors(path)
    thumbnails = select_thumbnails(
        tensors["train_labels"], tensors["test_labels"], description.classes
    )
    load_images: dict[Split, LoadImages] = {
        "train": partial(_load_images, path, description, "train"),
        "test": partial(_load_images, path, description, "test"),
    }
    yield from draw_sheets(thumbnails, load_images, description)


def _load_images(
    path: Path, description: DatasetDescription, split: Split, indices_B: Tensor
) -> Tensor:
    """Return images [B, C, H, W], encoded ones decoded in the size of thumbnails.

    The file is mapped for these images alone: what was read stays resident as long as it is mapped.
    """
    tensors = tensor_file.map_tensors(path)
    images = _select(tensors, description, split, indices_B)
    return images.batch(torch.arange(len(images)))[0]


def _select(
    tensors: dict[str, Array], description: DatasetDescription, split: Split, indices_B: Tensor
) -> ImageSource:
    labels_B = torch.from_numpy(tensors[f"{split}_labels"][indices_B.numpy()])
    selection = ImageSelection(indices_B, labels_B, labels_B)
    if description.source == "packed":
        return PackedImages(tensors[f"{split}_images"], selection)
    return EncodedImages(
        tensors[f"{split}_bytes"],
        tensors[f"{split}_offsets"],
        size=thumbnail_size(description),
        mode="L" if description.channels == 1 else "RGB",
        selection=selection,
        orientations=tensors[f"{split}_orientations"],
    )
