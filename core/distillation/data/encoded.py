"""Reads the file of an encoded data set: image files one after the other. N images.

train_bytes, test_bytes: u8. train_offsets, test_offsets: i64 [N + 1], where each image begins, and
the end. train_labels, test_labels: i64 [N]. train_orientations, test_orientations: u8 [N], how each
image is stored, 1 to 8 as in Exif; version 0.1 wrote none, and used images as they are stored.
"""

import numpy as np
import torch
from safetensors import SafetensorError

from core.distillation.data import tensor_file
from core.distillation.data.dataset_file import check_labels, require_file, unreadable_dataset
from core.distillation.data.encoded_images import EncodedImages
from core.distillation.data.image_decoding import UPRIGHT
from core.distillation.data.images import DataSet
from core.distillation.data.memory_mapped_images import ImageSelection
from core.distillation.data.tensor_file import Array
from core.job_folder import JobFolder
from core.jobspec.data import DatasetDescription


def load(folder: JobFolder) -> DataSet:
    """Map the data set; its images stay on disk.

    Raises JobFailed (unreadable_dataset) where the file does not match the description beside it.
    """
    description = folder.read_dataset()
    name = require_file(folder)
    try:
        tensors = tensor_file.map_tensors(folder.dataset_file)
        train = _part(tensors, "train", description.train_images, description)
        test = _part(tensors, "test", description.test_images, description)
    except (OSError, SafetensorError, KeyError) as error:
        raise unreadable_dataset(f"{name} cannot be read: {error}.") from error
    return DataSet(train, test, description)


def _part(
    tensors: dict[str, Array], part: str, images: int, description: DatasetDescription
) -> EncodedImages:
    data = tensors[f"{part}_bytes"]
    offsets = tensors[f"{part}_offsets"]
    labels = tensors[f"{part}_labels"]
    if labels.shape != (images,) or offsets.shape != (images + 1,):
        raise unreadable_dataset(
            f"The {part} images have labels of shape {labels.shape} and offsets of shape "
            f"{offsets.shape}; the description has {images} images."
        )
    if offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
        raise unreadable_dataset(
            f"The offsets of the {part} images do not divide their {len(data)} bytes."
        )
    orientations = tensors.get(f"{part}_orientations", np.full(images, UPRIGHT, np.uint8))
    if orientations.shape != (images,):
        raise unreadable_dataset(
            f"The {part} images have orientations of shape {orientations.shape}; the description "
            f"has {images} images."
        )
    labels_N = torch.from_numpy(labels.astype(np.int64))
    check_labels(part, labels_N, description)
    return EncodedImages(
        data,
        offsets.astype(np.int64),
        size=(description.width, description.height),
        mode="L" if description.channels == 1 else "RGB",
        selection=ImageSelection.all_of(labels_N),
        orientations=orientations,
    )
