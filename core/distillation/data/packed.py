"""One file a data set, as every import writes it: train_images and test_images u8 [N, C, H, W], their labels i64 [N]."""

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.distillation.data.images import DataSet, Images, MappedImages
from core.errors import JobFailed
from core.folder import JobFolder
from core.spec.data import DatasetDescription


def describe(train: Images, test: Images, class_names: tuple[str, ...]) -> DatasetDescription:
    _, channels, height, width = train.images_NCHW.shape
    return DatasetDescription(
        source="packed",
        classes=len(class_names),
        class_names=class_names,
        channels=channels,
        height=height,
        width=width,
        train_images=len(train),
        test_images=len(test),
    )


def write(path: Path, train: Images, test: Images) -> None:
    """Whole or not at all: temp, fsync, rename. Without a second copy of the images in memory."""
    temporary = path.with_name(f".{path.name}.part")
    tensors = {
        "train_images": train.images_NCHW,
        "train_labels": train.labels_N,
        "test_images": test.images_NCHW,
        "test_labels": test.labels_N,
    }
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(folder: JobFolder) -> DataSet:
    """Raises JobFailed (unreadable_dataset) with a sentence where the file is not the data set described beside it."""
    description = folder.read_dataset()
    name = folder.dataset_file.name
    if not folder.dataset_file.is_file():
        raise _failure(f"The job's data set, {name}, is not in its folder.")
    try:
        tensors = load_file(folder.dataset_file)
    except SafetensorError as error:
        raise _failure(f"{name} cannot be read: {error}.") from error
    train = _part(tensors, "train", description.train_images, description)
    test = _part(tensors, "test", description.test_images, description)
    return DataSet(train, test, description)


def load_mapped(path: Path, description: DatasetDescription) -> MappedImages:
    """The training images of a packed file, left on disk. Raises JobFailed as ``load`` does."""
    try:
        with safe_open(path, framework="pt") as file:
            labels_N = file.get_tensor("train_labels")
        with path.open("rb") as stream:
            header_bytes = int.from_bytes(stream.read(8), "little")
            entry = json.loads(stream.read(header_bytes))["train_images"]
    except (OSError, SafetensorError, KeyError) as error:
        raise _failure(f"{path.name} cannot be read: {error}.") from error
    wanted = (description.train_images, description.channels, description.height, description.width)
    if tuple(entry["shape"]) != wanted or entry["dtype"] != "U8":
        raise _failure(f"{path.name} has training images {entry['dtype']} {entry['shape']}; the description says {wanted}.")
    images = np.memmap(path, np.uint8, "r", offset=8 + header_bytes + entry["data_offsets"][0], shape=wanted)
    return MappedImages(images, labels_N)


def _part(tensors: dict[str, Tensor], part: str, images: int, description: DatasetDescription) -> Images:
    try:
        found = Images(tensors[f"{part}_images"], tensors[f"{part}_labels"])
    except KeyError as error:
        raise _failure(f"The data set's file has no tensor {error}.") from error
    except (TypeError, ValueError) as error:
        raise _failure(f"The data set's {part} images cannot be used: {error}") from error
    described = (images, description.channels, description.height, description.width)
    if found.images_NCHW.shape != described:
        raise _failure(f"The {part} images have shape {tuple(found.images_NCHW.shape)}; the description says {described}.")
    lowest, highest = (int(label) for label in found.labels_N.aminmax())
    if lowest < 0 or highest >= description.classes:
        raise _failure(f"The {part} labels go from {lowest} to {highest}; {description.classes} classes are described.")
    return found


def _failure(message: str) -> JobFailed:
    return JobFailed(code="unreadable_dataset", failure_class="user", message=message)
