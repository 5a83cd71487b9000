"""Imports an .npz of images and labels, as synthetic images are distributed, block by block.

Its arrays are image, uint8 [N, H, W, C], and label, integer [N]; others are ignored.
N images, B of a block, K classes, C H W image.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from core.distillation.data import tensor_file
from core.distillation.data.image_decoding import MAX_SIDE, MIN_SIDE
from core.distillation.data.importing import npy
from core.distillation.data.importing.archive.entry import Entry, corrupt_archive
from core.distillation.data.importing.archive.limits import DecompressionBudget
from core.distillation.data.importing.archive.zip import read_zip_entries
from core.distillation.data.importing.class_selection import MAX_CLASSES
from core.distillation.data.importing.file_source import ProgressCallback
from core.distillation.data.importing.import_result import ImportResult
from core.distillation.data.importing.npy import NpyStream
from core.distillation.data.quoting import quote
from core.distillation.data.tensor_file import TensorSpec
from core.errors import Refused
from core.jobspec import file_signature
from core.jobspec.data import DatasetDescription, ImportOptions

IMAGE = "image.npy"
LABEL = "label.npy"
MAX_IMAGES = 10_000_000
"""A job that trains on them has their labels in memory: 80 MB."""
BLOCK_BYTES = 4 * 2**20
LABELS_PER_BLOCK = 2**18
MAX_DESCRIPTION_CHARACTERS = 200


@dataclass(frozen=True)
class NpzMembers:
    """Members with the name of one of the two arrays, and the number of all others."""

    arrays: list[Entry]
    others: int


def find_arrays(file: BinaryIO) -> NpzMembers | None:
    """Return the members of an .npz; None where the file is not a zip, or has no such array."""
    archive_format = file_signature.detect_archive_format(file.read(512))
    size = file.seek(0, 2)
    file.seek(0)
    if archive_format != "zip":
        return None
    arrays = []
    others = 0
    for entry in read_zip_entries(file, DecompressionBudget(size)):
        if entry.name in (IMAGE, LABEL) and entry.kind == "file":
            arrays.append(entry)
        else:
            others += 1
    return NpzMembers(arrays, others) if arrays else None


def import_npz(
    members: NpzMembers, options: ImportOptions, target: Path, progress: ProgressCallback
) -> ImportResult:
    """Write ``target``, in memory that does not grow with the number of images.

    Raises Refused naming the array that cannot be used.
    """
    images = npy.open_array(_single(members.arrays, IMAGE))
    labels = npy.open_array(_single(members.arrays, LABEL))
    _check_options(options)
    _check_arrays(images, labels)
    count, height, width, channels = images.shape
    specs = {
        "train_labels": TensorSpec("I64", (count,)),
        "test_labels": TensorSpec("I64", (0,)),
        "train_images": TensorSpec("U8", (count, channels, height, width)),
        "test_images": TensorSpec("U8", (0, channels, height, width)),
    }
    with tensor_file.write_tensors(target, specs) as file:
        images_K = _copy_labels(labels, file)
        names = _class_names(images_K, options.classes)
        _copy_images(images, file, progress)
    description = DatasetDescription(
        source="packed",
        classes=len(names),
        class_names=names,
        channels=channels,
        height=height,
        width=width,
        train_images=count,
        test_images=0,
    )
    return ImportResult(
        description,
        f"An .npz with {IMAGE} and {LABEL}. It has no test images, so it can only be extra "
        "training data.",
        images_K,
        torch.zeros_like(images_K),
        ignored_files=members.others,
    )


def _single(arrays: list[Entry], name: str) -> Entry:
    matches = [entry for entry in arrays if entry.name == name]
    if not matches:
        raise Refused(
            f"The .npz has no {quote(name)}; it must have {IMAGE} and {LABEL}.",
            code="unknown_format",
        )
    if len(matches) > 1:
        raise corrupt_archive(f"{quote(name)} occurs {len(matches)} times")
    return matches[0]


def _check_options(options: ImportOptions) -> None:
    if options.every is not None:
        raise Refused(
            "every selects among class folders, and an .npz has labels without names; import it "
            "without every.",
            code="unfitting_classes",
        )
    if options.image_size is not None:
        raise Refused(
            "image_size applies to image files only, and the images of an .npz are decoded "
            "already; import it without image_size.",
            code="unfitting_image_size",
        )


def _check_arrays(images: NpyStream, labels: NpyStream) -> None:
    """Check what the headers tell, before the arrays are read."""
    if images.dtype != np.uint8 or len(images.shape) != 4 or images.shape[3] not in (1, 3):
        raise _unusable(images, "uint8 [N, H, W, C] with 1 or 3 channels")
    if labels.dtype.kind not in "iu" or len(labels.shape) != 1:
        raise _unusable(labels, "integer [N]")
    count, height, width, _ = images.shape
    if labels.shape[0] != count:
        raise Refused(
            f"There are {count} images and {labels.shape[0]} labels; every image needs one label.",
            code="unusable_array",
        )
    if count == 0:
        raise Refused(
            f"{quote(IMAGE)} has no images; at least one is needed.", code="unusable_array"
        )
    size = f"The images have {width}x{height} pixels"
    if max(height, width) > MAX_SIDE:
        raise Refused(f"{size}; they may have at most {MAX_SIDE}x{MAX_SIDE}.", code="too_large")
    if min(height, width) < MIN_SIDE:
        raise Refused(f"{size}; they must have at least {MIN_SIDE}x{MIN_SIDE}.", code="too_small")
    if count > MAX_IMAGES:
        raise Refused(
            f"There are {count} images; an .npz may have at most {MAX_IMAGES}.", code="too_large"
        )


def _unusable(array: NpyStream, expected: str) -> Refused:
    # A structured dtype may be of any length: the message must not be.
    actual = f"{str(array.dtype)[:50]} {list(array.shape)}"
    return Refused(
        f"{quote(array.name)} is {actual[:MAX_DESCRIPTION_CHARACTERS]}; it must be {expected}.",
        code="unusable_array",
    )


def _copy_labels(labels: NpyStream, file: BinaryIO) -> Tensor:
    """Write the labels, and return the number of images of each class, [K]."""
    images_K = np.zeros(0, np.int64)
    for block in labels.blocks(LABELS_PER_BLOCK):
        lowest = int(block.min())
        highest = int(block.max())
        if lowest < 0:
            raise Refused(
                f"{quote(labels.name)} has the label {lowest}; labels begin with 0.",
                code="unusable_array",
            )
        if highest >= MAX_CLASSES:
            raise Refused(
                f"{quote(labels.name)} has the label {highest}; a data set may have at most "
                f"{MAX_CLASSES} classes.",
                code="too_large",
            )
        block_counts_K = np.bincount(block.astype(np.int64), minlength=len(images_K))
        block_counts_K[: len(images_K)] += images_K
        images_K = block_counts_K
        file.write(block.astype("<i8").tobytes())
    return torch.from_numpy(images_K)


def _class_names(images_K: Tensor, names: tuple[str, ...] | None) -> tuple[str, ...]:
    classes = len(images_K)
    if classes < 2:
        raise Refused(
            "All labels are 0; a data set must have at least two classes.", code="too_few_classes"
        )
    if names is not None and len(names) != classes:
        raise Refused(
            f"classes has {len(names)} names, and the labels go from 0 to {classes - 1}; "
            f"{classes} names are needed.",
            code="unfitting_classes",
        )
    return names or tuple(map(str, range(classes)))


def _copy_images(images: NpyStream, file: BinaryIO, progress: ProgressCallback) -> None:
    """Write the images with their channels first."""
    count, *image_shape = images.shape
    completed = 0
    for block_BHWC in images.blocks(max(1, BLOCK_BYTES // int(np.prod(image_shape)))):
        file.write(np.ascontiguousarray(block_BHWC.transpose(0, 3, 1, 2)).data)
        completed += len(block_BHWC)
        progress(completed, count)
