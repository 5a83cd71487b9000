"""Reads the file of a packed data set: decoded images of one size. N images, C H W image.

train_images, test_images: u8 [N, C, H, W]. train_labels, test_labels: i64 [N].
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.distillation.data import tensor_file
from core.distillation.data.dataset_file import check_labels, require_file, unreadable_dataset
from core.distillation.data.images import DataSet, Images
from core.distillation.data.memory_mapped_images import ImageSelection, PackedImages
from core.job_folder import JobFolder
from core.jobspec.data import DatasetDescription


def load(folder: JobFolder) -> DataSet:
    """Load the data set into memory.

    Raises JobFailed (unreadable_dataset) where the file does not match the description beside it.
    """
    description = folder.read_dataset()
    name = require_file(folder)
    try:
        tensors = load_file(folder.dataset_file)
    except SafetensorError as error:
        raise unreadable_dataset(f"{name} cannot be read: {error}.") from error
    train = _part(tensors, "train", description.train_images, description)
    test = _part(tensors, "test", description.test_images, description)
    return DataSet(train, test, description)


def load_mapped(path: Path, description: DatasetDescription) -> PackedImages:
    """Map the training images of a packed file; they stay on disk. Raises JobFailed as ``load``."""
    try:
        tensors = tensor_file.map_tensors(path)
        images = tensors["train_images"]
        labels = tensors["train_labels"]
    except (OSError, SafetensorError, KeyError) as error:
        raise unreadable_dataset(f"{path.name} cannot be read: {error}.") from error
    expected = _shape(description.train_images, description)
    if images.shape != expected or images.dtype != "uint8" or labels.shape != expected[:1]:
        raise unreadable_dataset(
            f"The training images of {path.name} are {images.dtype} {images.shape}, their labels "
            f"{labels.shape}; the description says uint8 {expected}."
        )
    labels_N = torch.from_numpy(labels.copy())
    check_labels("extra", labels_N, description)
    return PackedImages(images, ImageSelection.all_of(labels_N))


def _part(
    tensors: dict[str, Tensor], part: str, images: int, description: DatasetDescription
) -> Images:
    try:
        result = Images(tensors[f"{part}_images"], tensors[f"{part}_labels"])
    except KeyError as error:
        raise unreadable_dataset(f"The data set's file has no tensor {error}.") from error
    except (TypeError, ValueError) as error:
        raise unreadable_dataset(f"The data set's {part} images cannot be used: {error}") from error
    expected = _shape(images, description)
    if result.images_NCHW.shape != expected:
        raise unreadable_dataset(
            f"The {part} images have shape {tuple(result.images_NCHW.shape)}; "
            f"the description says {expected}."
        )
    check_labels(part, result.labels_N, description)
    return result


def _shape(images: int, description: DatasetDescription) -> tuple[int, int, int, int]:
    return images, description.channels, description.height, description.width
