"""An .npz of images and labels, as synthetic ones are passed around -> a packed file, block by block.

Its arrays: image uint8 [N, H, W, C] and label integer [N]; others are left out. N images, K classes, C H W image.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from core.distillation.data import tensor_file
from core.distillation.data.image_decoding import LARGEST_SIDE, SMALLEST_SIDE
from core.distillation.data.images import Found
from core.distillation.data.importing import npy
from core.distillation.data.importing.archive.entry import Budget, Entry, damaged
from core.distillation.data.importing.archive.zip import entries
from core.distillation.data.importing.class_selection import MAX_CLASSES
from core.distillation.data.importing.file_kinds import quoted
from core.distillation.data.importing.file_source import Progress
from core.distillation.data.importing.npy import NpyStream
from core.distillation.data.tensor_file import Plan
from core.errors import Refused
from core.jobspec import file_signature
from core.jobspec.data import DatasetDescription, Reading

IMAGE, LABEL = "image.npy", "label.npy"
MAX_IMAGES = 10_000_000
"""Their labels are held in memory by whoever trains on them: 80 MB."""
BLOCK_BYTES = 4 * 2**20
LABELS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Members:
    """The entries named for one of the two arrays, whose bytes come from the file as they are asked for."""

    arrays: list[Entry]
    others: int


def find(file: BinaryIO) -> Members | None:
    """None where the file is no zip archive, or one without such arrays."""
    form = file_signature.archive_format(file.read(512))
    size = file.seek(0, 2)
    file.seek(0)
    if form != "zip":
        return None
    arrays, others = [], 0
    for entry in entries(file, Budget(size)):
        if entry.name in (IMAGE, LABEL) and entry.kind == "file":
            arrays.append(entry)
        else:
            others += 1
    return Members(arrays, others) if arrays else None


def read(members: Members, wanted: Reading, target: Path, progress: Progress) -> Found:
    """Writes ``target``, in memory that does not grow with the number of images. Raises Refused naming the array."""
    images, labels = (npy.opened(_only(members.arrays, name)) for name in (IMAGE, LABEL))
    _check_reading(wanted)
    _check(images, labels)
    count, height, width, channels = images.shape
    plan = {
        "train_labels": Plan("I64", (count,)),
        "test_labels": Plan("I64", (0,)),
        "train_images": Plan("U8", (count, channels, height, width)),
        "test_images": Plan("U8", (0, channels, height, width)),
    }
    with tensor_file.writing(target, plan) as out:
        images_K = _copy_labels(labels, out)
        names = _class_names(images_K, wanted.classes)
        _copy_images(images, out, progress)
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
    layout = f"An .npz: {IMAGE} and {LABEL}. There are no test images, so it can only be extra training data."
    return Found(
        description, layout, images_K, torch.zeros_like(images_K), ignored_files=members.others
    )


def _only(arrays: list[Entry], name: str) -> Entry:
    found = [entry for entry in arrays if entry.name == name]
    if not found:
        raise Refused(
            f"The .npz has no {quoted(name)}; it needs {IMAGE} and {LABEL}.", code="unknown_format"
        )
    if len(found) > 1:
        raise damaged(f"{quoted(name)} is in it twice")
    return found[0]


def _check_reading(wanted: Reading) -> None:
    if wanted.every is not None:
        raise Refused(
            "every chooses among class folders; an .npz has labels without names.",
            code="unfitting_classes",
        )
    if wanted.image_size is not None:
        raise Refused(
            "image_size is for image files; the images of an .npz are decoded already.",
            code="unfitting_image_size",
        )


def _check(images: NpyStream, labels: NpyStream) -> None:
    """What can be told without reading on."""
    if images.dtype != np.uint8 or len(images.shape) != 4 or images.shape[3] not in (1, 3):
        raise _unusable(images, "uint8 [N, H, W, C] with 1 or 3 channels")
    if labels.dtype.kind not in "iu" or len(labels.shape) != 1:
        raise _unusable(labels, "integer [N]")
    count, height, width, _ = images.shape
    if labels.shape[0] != count:
        raise Refused(
            f"There are {count} images and {labels.shape[0]} labels.", code="unusable_array"
        )
    if count == 0:
        raise Refused(f"{quoted(IMAGE)} holds no image.", code="unusable_array")
    size = f"The images have {width}x{height} pixels"
    if max(height, width) > LARGEST_SIDE:
        raise Refused(
            f"{size}; at most {LARGEST_SIDE}x{LARGEST_SIDE} are possible.", code="too_large"
        )
    if min(height, width) < SMALLEST_SIDE:
        raise Refused(
            f"{size}; at least {SMALLEST_SIDE}x{SMALLEST_SIDE} are needed.", code="too_small"
        )
    if count > MAX_IMAGES:
        raise Refused(
            f"There are {count} images; at most {MAX_IMAGES} are possible.", code="too_large"
        )


def _unusable(array: NpyStream, wanted: str) -> Refused:
    found = f"{str(array.dtype)[:50]} {list(array.shape)}"
    return Refused(
        f"{quoted(array.name)} is {found[:200]}; {wanted} is needed.", code="unusable_array"
    )


def _copy_labels(labels: NpyStream, out: BinaryIO) -> Tensor:
    """How many images each class has, [K]."""
    images_K = np.zeros(0, np.int64)
    for block in labels.blocks(LABELS_AT_ONCE):
        lowest, highest = int(block.min()), int(block.max())
        if lowest < 0:
            raise Refused(
                f"{quoted(labels.name)} has a label {lowest}; labels begin with 0.",
                code="unusable_array",
            )
        if highest >= MAX_CLASSES:
            raise Refused(
                f"There is a label {highest}; at most {MAX_CLASSES} classes are possible.",
                code="too_large",
            )
        found_K = np.bincount(block.astype(np.int64), minlength=len(images_K))
        found_K[: len(images_K)] += images_K
        images_K = found_K
        out.write(block.astype("<i8").tobytes())
    return torch.from_numpy(images_K)


def _class_names(images_K: Tensor, names: tuple[str, ...] | None) -> tuple[str, ...]:
    classes = len(images_K)
    if classes < 2:
        raise Refused("All labels are 0; at least two classes are needed.", code="too_few_classes")
    if names is not None and len(names) != classes:
        raise Refused(
            f"classes has {len(names)} names; the labels go from 0 to {classes - 1}.",
            code="unfitting_classes",
        )
    return names or tuple(map(str, range(classes)))


def _copy_images(images: NpyStream, out: BinaryIO, progress: Progress) -> None:
    done, count, *rest = 0, *images.shape
    for block_BHWC in images.blocks(max(1, BLOCK_BYTES // int(np.prod(rest)))):
        out.write(np.ascontiguousarray(block_BHWC.transpose(0, 3, 1, 2)).data)
        done += len(block_BHWC)
        progress(done, count)
