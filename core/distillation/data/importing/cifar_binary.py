"""Imports CIFAR-10's and CIFAR-100's "binary version": records of a label and 3x32x32 bytes.

https://www.cs.toronto.edu/~kriz/cifar.html
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.distillation.data.images import Images
from core.distillation.data.importing.file_kinds import (
    has_control_characters,
    normalize_name,
)
from core.distillation.data.importing.file_source import FileSource
from core.distillation.data.importing.import_result import ImportResult
from core.distillation.data.importing.packed_writer import write_selected_classes
from core.distillation.data.quoting import quote
from core.errors import Refused
from core.jobspec.data import ImportOptions

IMAGE_BYTES = 3 * 32 * 32
MAX_NAME_LIST_BYTES = 10_000


@dataclass(frozen=True)
class CifarFormat:
    title: str
    classes: int
    label_bytes: int
    """The last one is the label; CIFAR-100 has the coarse label before it."""
    train_files: tuple[str, ...]
    test_file: str
    names_file: str
    images: dict[str, int]
    """Number of images in each file."""

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + IMAGE_BYTES


_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR10 = CifarFormat(
    title="CIFAR-10",
    classes=10,
    label_bytes=1,
    train_files=_BATCHES,
    test_file="test_batch.bin",
    names_file="batches.meta.txt",
    images=dict.fromkeys((*_BATCHES, "test_batch.bin"), 10_000),
)
CIFAR100 = CifarFormat(
    title="CIFAR-100",
    classes=100,
    label_bytes=2,
    train_files=("train.bin",),
    test_file="test.bin",
    names_file="fine_label_names.txt",
    images={"train.bin": 50_000, "test.bin": 10_000},
)


def find_batches(files: FileSource) -> tuple[str, CifarFormat] | None:
    """Return the prefix of the batches' paths, and their format; None without any batch.

    Batches are at the root or in one folder. The prefix is empty or ends in "/".
    """
    top_folders = sorted(f"{folder}/" for folder in files.folders if "/" not in folder)
    for prefix in ("", *top_folders):
        for cifar in (CIFAR10, CIFAR100):
            if any(prefix + name in files for name in cifar.images):
                return prefix, cifar
    return None


def import_cifar(
    files: FileSource, prefix: str, cifar: CifarFormat, options: ImportOptions, target: Path
) -> ImportResult:
    """Write ``target``.

    Raises Refused (corrupt_archive) for a missing file, and for one that differs from its format.
    """
    class_names = _class_names(files, prefix + cifar.names_file, cifar)
    train = _images([_records(files, prefix, name, cifar) for name in cifar.train_files], cifar)
    test = _images([_records(files, prefix, cifar.test_file, cifar)], cifar)
    layout = (
        f"{cifar.title}'s binary batches, with the split into training and test images that they "
        "come with."
    )
    used = {prefix + name for name in (*cifar.images, cifar.names_file)}
    for path in files:
        if path not in used:
            files.ignored.add(path, f"not a file of {cifar.title}'s binary version")
    return write_selected_classes(target, train, test, class_names, options, layout, files.ignored)


def _images(batches: list[NDArray[np.uint8]], cifar: CifarFormat) -> Images:
    records = np.concatenate(batches)
    labels_N = torch.from_numpy(records[:, cifar.label_bytes - 1].astype(np.int64))
    images_NCHW = torch.from_numpy(records[:, cifar.label_bytes :].reshape(-1, 3, 32, 32))
    return Images(images_NCHW.contiguous(), labels_N)


def _records(files: FileSource, prefix: str, name: str, cifar: CifarFormat) -> NDArray[np.uint8]:
    path = prefix + name
    size = _size(files, path, cifar)
    expected = cifar.images[name] * cifar.record_bytes
    if size != expected:
        raise Refused(
            f"{quote(path)} has {size} bytes; this file of {cifar.title} must have {expected}.",
            code="corrupt_archive",
        )
    records = np.frombuffer(files.read(path), np.uint8).reshape(-1, cifar.record_bytes)
    highest = int(records[:, cifar.label_bytes - 1].max())
    if highest >= cifar.classes:
        raise Refused(
            f"{quote(path)} has the label {highest}; labels of {cifar.title} go from 0 to "
            f"{cifar.classes - 1}.",
            code="corrupt_archive",
        )
    return records


def _class_names(files: FileSource, path: str, cifar: CifarFormat) -> tuple[str, ...]:
    size = _size(files, path, cifar)
    if size > MAX_NAME_LIST_BYTES:
        raise Refused(
            f"{quote(path)} has {size} bytes; a list of {cifar.classes} class names may have at "
            f"most {MAX_NAME_LIST_BYTES}.",
            code="corrupt_archive",
        )
    text = files.read(path).decode("utf-8-sig", errors="replace")
    names = tuple(map(normalize_name, text.split()))
    if len(names) != cifar.classes:
        raise Refused(
            f"{quote(path)} has {len(names)} class names; {cifar.title} has {cifar.classes} "
            "classes.",
            code="corrupt_archive",
        )
    if any(map(has_control_characters, names)):
        raise Refused(
            f"{quote(path)} has class names with control characters; they must be plain text.",
            code="corrupt_archive",
        )
    return names


def _size(files: FileSource, path: str, cifar: CifarFormat) -> int:
    if path not in files:
        raise Refused(
            f"{quote(path)} is missing; {cifar.title} is not complete without it.",
            code="corrupt_archive",
        )
    return files.size(path)
