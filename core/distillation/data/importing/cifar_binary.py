"""CIFAR-10 and CIFAR-100 as their authors pack them for other languages than Python: records of label and 3x32x32 bytes.

https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.distillation.data import packed
from core.distillation.data.images import Found, Images
from core.distillation.data.importing.file_kinds import has_controls, quoted
from core.distillation.data.importing.file_source import Files
from core.errors import Refused
from core.jobspec.data import Reading

IMAGE_BYTES = 3 * 32 * 32
LONGEST_LIST_BYTES = 10_000


@dataclass(frozen=True)
class Form:
    title: str
    classes: int
    label_bytes: int
    """The last of them is the label; CIFAR-100 puts the coarse one first."""
    train: tuple[str, ...]
    test: str
    names: str
    images: dict[str, int]

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + IMAGE_BYTES


_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR10 = Form(
    title="CIFAR-10",
    classes=10,
    label_bytes=1,
    train=_BATCHES,
    test="test_batch.bin",
    names="batches.meta.txt",
    images=dict.fromkeys((*_BATCHES, "test_batch.bin"), 10_000),
)
CIFAR100 = Form(
    title="CIFAR-100",
    classes=100,
    label_bytes=2,
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    images={"train.bin": 50_000, "test.bin": 10_000},
)


def find(files: Files) -> tuple[str, Form] | None:
    """The path that leads to the batches, at the root or in one folder, ending in "/" or empty; and which ones they are."""
    for prefix in ("", *sorted(f"{folder}/" for folder in files.folders if "/" not in folder)):
        for form in (CIFAR10, CIFAR100):
            if any(prefix + name in files for name in form.images):
                return prefix, form
    return None


def read(files: Files, prefix: str, form: Form, wanted: Reading, target: Path) -> Found:
    """Writes ``target``. Raises Refused (corrupt_archive) where a file is missing, or is not as its form has it."""
    class_names = _class_names(files, prefix + form.names, form)
    train = _images([_records(files, prefix, name, form) for name in form.train], form)
    test = _images([_records(files, prefix, form.test, form)], form)
    layout = f"{form.title}'s binary batches, with the split into training and test images that comes with them."
    ignored = len(files) + files.left_out - len(form.images) - 1
    return packed.keep(target, train, test, class_names, wanted, layout, ignored_files=ignored)


def _images(batches: list[NDArray[np.uint8]], form: Form) -> Images:
    records = np.concatenate(batches)
    labels_N = torch.from_numpy(records[:, form.label_bytes - 1].astype(np.int64))
    images_NCHW = torch.from_numpy(records[:, form.label_bytes :].reshape(-1, 3, 32, 32))
    return Images(images_NCHW.contiguous(), labels_N)


def _records(files: Files, prefix: str, name: str, form: Form) -> NDArray[np.uint8]:
    path = prefix + name
    size = _size(files, path, form)
    expected = form.images[name] * form.record_bytes
    if size != expected:
        raise Refused(
            f"{quoted(path)} has {size} bytes; {form.title}'s has {expected}.",
            code="corrupt_archive",
        )
    records = np.frombuffer(files.read(path), np.uint8).reshape(-1, form.record_bytes)
    highest = int(records[:, form.label_bytes - 1].max())
    if highest >= form.classes:
        raise Refused(
            f"{quoted(path)} has a label {highest}; {form.title}'s go from 0 to {form.classes - 1}.",
            code="corrupt_archive",
        )
    return records


def _class_names(files: Files, path: str, form: Form) -> tuple[str, ...]:
    if _size(files, path, form) > LONGEST_LIST_BYTES:
        raise Refused(
            f"{quoted(path)} is too large to be a list of {form.classes} names.",
            code="corrupt_archive",
        )
    names = tuple(files.read(path).decode(errors="replace").split())
    if len(names) != form.classes:
        raise Refused(
            f"{quoted(path)} holds {len(names)} names; {form.title} has {form.classes} classes.",
            code="corrupt_archive",
        )
    if any(map(has_controls, names)):
        raise Refused(
            f"{quoted(path)} holds names with control characters.", code="corrupt_archive"
        )
    return names


def _size(files: Files, path: str, form: Form) -> int:
    if path not in files:
        raise Refused(
            f"{quoted(path)} is missing; it is a part of {form.title}.", code="corrupt_archive"
        )
    return files.size(path)
