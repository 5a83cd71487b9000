"""Imports an .npz of images and labels, as synthetic images are distributed, block by block.

Images are uint8: [N, H, W, C], [N, C, H, W] or, gray, [N, H, W]. Labels are integers: [N] or
[N, 1]. N images, B of a block, K classes, C H W image.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

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
from core.distillation.data.importing.layout.array_names import (
    NEEDED,
    ArrayContent,
    ArrayPart,
    ArrayRole,
    array_role,
)
from core.distillation.data.importing.layout.ignored_files import IgnoredFiles
from core.distillation.data.importing.npy import NpyStream
from core.distillation.data.quoting import quote
from core.distillation.data.tensor_file import TensorSpec
from core.errors import Refused
from core.jobspec import file_signature
from core.jobspec.data import DatasetDescription, ImportOptions

SUFFIX = ".npy"
IMAGE = "image.npy"
LABEL = "label.npy"
MAX_IMAGES = 10_000_000
"""A job that trains on them has their labels in memory: 80 MB."""
BLOCK_BYTES = 4 * 2**20
LABELS_PER_BLOCK = 2**18
MAX_DESCRIPTION_CHARACTERS = 200
MAX_NAMED = 10
COLORS = (1, 3)
UNUSED = "not an array that is used"


@dataclass
class NpzMembers:
    """The members of an .npz, by what they hold."""

    arrays: dict[ArrayRole, list[Entry]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    """Names of the first arrays whose names do not say what they hold."""
    ignored: IgnoredFiles = field(default_factory=IgnoredFiles)

    def add(self, entry: Entry) -> None:
        role = array_role(entry.name.removesuffix(SUFFIX))
        if _is_array(entry) and role is not None:
            self.arrays.setdefault(role, []).append(entry)
            return
        self.ignored.add(entry.name, UNUSED)
        if len(self.others) < MAX_NAMED and _is_array(entry):
            self.others.append(entry.name)

    def has(self, part: ArrayPart, content: ArrayContent) -> bool:
        return ArrayRole(part, content) in self.arrays


@dataclass(frozen=True)
class _Part:
    """Images and labels of one part of the data set. Their streams can be read once."""

    images: NpyStream
    labels: NpyStream
    size: tuple[int, int, int]
    """C, H, W."""

    @property
    def count(self) -> int:
        return self.images.shape[0]


def find_arrays(file: BinaryIO) -> NpzMembers | None:
    """Return the members of an .npz; None where the file is no zip, or one of other files."""
    archive_format = file_signature.detect_archive_format(file.read(512))
    size = file.seek(0, 2)
    file.seek(0)
    if archive_format != "zip":
        return None
    members = NpzMembers()
    arrays = other_files = 0
    for entry in read_zip_entries(file, DecompressionBudget(size)):
        arrays += _is_array(entry)
        other_files += not _is_array(entry)
        members.add(entry)
    names = {entry.name for entries in members.arrays.values() for entry in entries}
    is_complete = members.has("train", "images") and members.has("train", "labels")
    is_npz = is_complete or not names.isdisjoint({IMAGE, LABEL}) or not other_files
    return members if arrays and is_npz else None


def _is_array(entry: Entry) -> bool:
    return entry.kind == "file" and entry.name.endswith(SUFFIX) and "/" not in entry.name


def import_npz(
    members: NpzMembers, options: ImportOptions, target: Path, progress: ProgressCallback
) -> ImportResult:
    """Write ``target``, in memory that does not grow with the number of images.

    Raises Refused naming the array that cannot be used.
    """
    _check_options(options)
    train = _open_part(members, "train")
    test_name = _test_part(members)
    test = None if test_name is None else _open_part(members, test_name)
    for entry in (entry for entries in members.arrays.values() for entry in entries):
        members.ignored.add(entry.name, UNUSED)
    if test is not None:
        _check_test(train, test)
    _check_count(train.count + (0 if test is None else test.count))
    train_K, test_K, names = _write(train, test, options, target, progress)
    channels, height, width = train.size
    description = DatasetDescription(
        source="packed",
        classes=len(names),
        class_names=names,
        channels=channels,
        height=height,
        width=width,
        train_images=train.count,
        test_images=0 if test is None else test.count,
    )
    return ImportResult(description, _sentence(train, test), train_K, test_K, members.ignored)


def _sentence(train: _Part, test: _Part | None) -> str:
    if test is None:
        return (
            f"An .npz with {train.images.name} and {train.labels.name}. It has no test images, so "
            "it can only be extra training data."
        )
    return (
        f"An .npz with training images in {train.images.name} and test images in "
        f"{test.images.name}."
    )


def _write(
    train: _Part,
    test: _Part | None,
    options: ImportOptions,
    target: Path,
    progress: ProgressCallback,
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Write the file; return the images of each class, [K], of both parts, and the class names."""
    parts = [train] if test is None else [train, test]
    total = sum(part.count for part in parts)
    test_count = total - train.count
    specs = {
        "train_labels": TensorSpec("I64", (train.count,)),
        "test_labels": TensorSpec("I64", (test_count,)),
        "train_images": TensorSpec("U8", (train.count, *train.size)),
        "test_images": TensorSpec("U8", (test_count, *train.size)),
    }
    with tensor_file.write_tensors(target, specs) as file:
        counts = [_copy_labels(part.labels, file) for part in parts]
        classes = max(map(len, counts))
        counts = [np.pad(images_K, (0, classes - len(images_K))) for images_K in counts]
        names = _class_names(classes, options.classes)
        for part, images_K in zip(parts, counts, strict=True):
            _check_classes(part, images_K)
        _copy_images(train, file, lambda completed: progress(completed, total))
        if test is not None:
            _copy_images(test, file, lambda completed: progress(train.count + completed, total))
    train_K = torch.from_numpy(counts[0])
    test_K = torch.zeros_like(train_K) if test is None else torch.from_numpy(counts[1])
    return train_K, test_K, names


# -- the arrays


def _test_part(members: NpzMembers) -> ArrayPart | None:
    """Return which arrays have the test images: those of the validation where there are no others.

    An .npz whose test images have no labels has no test images.
    """
    parts: tuple[ArrayPart, ...] = ("test", "val")
    for part in parts:
        if members.has(part, "images") and members.has(part, "labels"):
            return part
    return None


def _open_part(members: NpzMembers, part: ArrayPart) -> _Part:
    """Open two arrays and check what their headers tell, before they are read."""
    images = npy.open_array(_take(members, ArrayRole(part, "images"), IMAGE))
    labels = npy.open_array(_take(members, ArrayRole(part, "labels"), LABEL))
    size = _image_size(images)
    if labels.dtype.kind not in "iu" or labels.shape[1:] not in ((), (1,)) or not labels.shape:
        raise _unusable(labels, "integer [N] or [N, 1], with the number of the class of each image")
    count = images.shape[0]
    if labels.shape[0] != count:
        raise Refused(
            f"There are {count} images and {labels.shape[0]} labels; every image needs one label.",
            code="unusable_array",
        )
    if count == 0:
        raise Refused(
            f"{quote(images.name)} has no images; at least one is needed.", code="unusable_array"
        )
    _, height, width = size
    pixels = f"The images have {width}x{height} pixels"
    if max(height, width) > MAX_SIDE:
        raise Refused(f"{pixels}; they may have at most {MAX_SIDE}x{MAX_SIDE}.", code="too_large")
    if min(height, width) < MIN_SIDE:
        raise Refused(f"{pixels}; they must have at least {MIN_SIDE}x{MIN_SIDE}.", code="too_small")
    return _Part(images, labels, size)


def _take(members: NpzMembers, role: ArrayRole, usual_name: str) -> Entry:
    """Return the member of a role, and remove it: what is left in the end is not used."""
    entries = members.arrays.get(role, [])
    if not entries:
        names = [entry.name for entries in members.arrays.values() for entry in entries]
        raise Refused(
            f"The .npz has no {quote(usual_name)} or array of a similar name, but "
            f"{', '.join(map(quote, [*names, *members.others][:MAX_NAMED]))}; {NEEDED}.",
            code="unknown_format",
        )
    exact = [entry for entry in entries if entry.name == usual_name]
    candidates = exact or entries
    if len(candidates) > 1 and len({entry.name for entry in candidates}) == 1:
        raise corrupt_archive(f"{quote(candidates[0].name)} occurs {len(candidates)} times")
    if len(candidates) > 1:
        raise Refused(
            f"{' and '.join(quote(entry.name) for entry in candidates[:MAX_NAMED])} may both be "
            f"the {role.content} of the .npz; save it with one of them.",
            code="unknown_format",
        )
    entry = candidates[0]
    entries.remove(entry)
    return entry


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


def _image_size(images: NpyStream) -> tuple[int, int, int]:
    """Return C, H and W. Raises Refused (unusable_array).

    A side has at least 8 pixels, so that the axis of 1 or 3 channels is never in doubt.
    """
    if images.dtype == np.uint8:
        match images.shape:
            case (_, height, width):
                return 1, height, width
            case (_, height, width, channels) if channels in COLORS:
                return channels, height, width
            case (_, channels, height, width) if channels in COLORS:
                return channels, height, width
    raise _unusable(
        images,
        "uint8 [N, H, W, C] with 1 or 3 channels, [N, C, H, W] or [N, H, W], with values from 0 "
        'to 255. For floats in [0, 1], save numpy.rint(255 * images).astype("uint8")',
    )


def _check_test(train: _Part, test: _Part) -> None:
    if train.size != test.size:
        raise Refused(
            f"The images of {quote(train.images.name)} are {list(train.size)} and those of "
            f"{quote(test.images.name)} {list(test.size)} (C, H, W); they must be alike.",
            code="unusable_array",
        )


def _check_count(count: int) -> None:
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


# -- labels and images


def _copy_labels(labels: NpyStream, file: BinaryIO) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Write the labels, and return the number of images of each class up to the highest, [K]."""
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
        labels_B = block.reshape(-1).astype("<i8")
        block_counts_K = np.bincount(labels_B, minlength=len(images_K))
        block_counts_K[: len(images_K)] += images_K
        images_K = block_counts_K
        file.write(labels_B.tobytes())
    return images_K


def _class_names(classes: int, names: tuple[str, ...] | None) -> tuple[str, ...]:
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


def _check_classes(part: _Part, images_K: "np.ndarray[Any, np.dtype[np.int64]]") -> None:
    """Raise Refused for classes without images, as for class folders."""
    empty = (images_K == 0).nonzero()[0]
    if len(empty):
        raise Refused(
            f"The labels go from 0 to {len(images_K) - 1}, and {len(empty)} of these classes, "
            f"beginning with {empty[0]}, have no image in {quote(part.images.name)}; every class "
            "needs one. Number the classes without gaps.",
            code="empty_class",
        )


def _copy_images(part: _Part, file: BinaryIO, progress: Callable[[int], None]) -> None:
    """Write the images with their channels first."""
    has_channels_last = part.images.shape[1:] == (*part.size[1:], part.size[0])
    completed = 0
    for block in part.images.blocks(max(1, BLOCK_BYTES // int(np.prod(part.size)))):
        images_BCHW = (
            block.transpose(0, 3, 1, 2) if has_channels_last else block.reshape(-1, *part.size)
        )
        file.write(np.ascontiguousarray(images_BCHW).data)
        completed += len(block)
        progress(completed)
