"""CIFAR-10 and CIFAR-100 as their authors pack them for other languages than Python: records of label and 3x32x32 bytes.

https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.distillation.data import packed
from core.distillation.data.file_kinds import quoted
from core.distillation.data.images import DataSet, Found, Images
from core.errors import Refused
from core.spec.sniff import is_pickle

IMAGE_BYTES = 3 * 32 * 32


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
PICKLED = ("data_batch_1", "test_batch", "batches.meta", "meta")


def find(root: Path) -> tuple[Path, Form] | None:
    """Where the batches are: in ``root`` or a folder in it. Raises Refused (unsafe_dataset) for CIFAR's pickled form."""
    folders = [root, *sorted(folder for folder in root.iterdir() if folder.is_dir())]
    for folder in folders:
        for form in (CIFAR10, CIFAR100):
            if any((folder / name).is_file() for name in form.images):
                return folder, form
        _refuse_pickles(folder, root)
    return None


def read(root: Path, folder: Path, form: Form) -> Found:
    """Raises Refused (corrupt_archive) where a file is missing, or is not of the size or content that its form has."""
    class_names = _class_names(root, folder, form)
    train = _images(root, [folder / name for name in form.train], form)
    test = _images(root, [folder / form.test], form)
    dataset = DataSet(train, test, packed.describe(train, test, class_names))
    return Found(dataset, f"{form.title}'s binary batches, with the split into training and test images that comes with them.")


def _images(root: Path, paths: Sequence[Path], form: Form) -> Images:
    records = np.concatenate([_records(root, path, form) for path in paths])
    labels_N = torch.from_numpy(records[:, form.label_bytes - 1].astype(np.int64))
    images_NCHW = torch.from_numpy(records[:, form.label_bytes :].reshape(-1, 3, 32, 32))
    return Images(images_NCHW.contiguous(), labels_N)


def _records(root: Path, path: Path, form: Form) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    name = _name(root, path)
    size = _size(root, path, form)
    expected = form.images[path.name] * form.record_bytes
    if size != expected:
        raise Refused(f"{name} has {size} bytes; {form.title}'s has {expected}.", code="corrupt_archive")
    records = np.fromfile(path, np.uint8).reshape(-1, form.record_bytes)
    highest = int(records[:, form.label_bytes - 1].max())
    if highest >= form.classes:
        raise Refused(f"{name} has a label {highest}; {form.title}'s go from 0 to {form.classes - 1}.", code="corrupt_archive")
    return records


def _class_names(root: Path, folder: Path, form: Form) -> tuple[str, ...]:
    path = folder / form.names
    name = _name(root, path)
    if _size(root, path, form) > 10_000:
        raise Refused(f"{name} is too large to be a list of {form.classes} names.", code="corrupt_archive")
    names = tuple(path.read_text(errors="replace").split())
    if len(names) != form.classes:
        raise Refused(f"{name} holds {len(names)} names; {form.title} has {form.classes} classes.", code="corrupt_archive")
    return names


def _size(root: Path, path: Path, form: Form) -> int:
    if not path.is_file():
        raise Refused(f"{_name(root, path)} is missing; it is a part of {form.title}.", code="corrupt_archive")
    return path.stat().st_size


def _refuse_pickles(folder: Path, root: Path) -> None:
    for path in (folder / name for name in PICKLED):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            first_bytes = file.read(2)
        if is_pickle(first_bytes):
            raise Refused(
                f"{_name(root, path)} is of CIFAR's Python version, a pickle, which runs code when it is opened. Use the binary "
                "version.",
                code="unsafe_dataset",
            )


def _name(root: Path, path: Path) -> str:
    return quoted(str(path.relative_to(root)))
