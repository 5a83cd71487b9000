"""The file of encoded images: one after the other as they came, and where each begins. N images, K classes.

train_bytes and test_bytes u8; train_offsets and test_offsets i64 [N + 1], the last of them the end; labels i64 [N].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from core.distillation.data import tensor_file
from core.distillation.data.encoded_images import EncodedImages
from core.distillation.data.files import Files, Progress
from core.distillation.data.image_files import verified
from core.distillation.data.images import DataSet
from core.distillation.data.images_on_disk import Rows
from core.distillation.data.packed import check_labels, unreadable
from core.distillation.data.tensor_file import Array, Plan
from core.errors import Refused
from core.folder import JobFolder
from core.spec.data import DatasetDescription

MAX_BYTES = 2**38


@dataclass(frozen=True)
class Part:
    paths: Sequence[str]
    labels_N: Tensor


def write(target: Path, files: Files, train: Part, test: Part, progress: Progress) -> int:
    """How many channels the images have: one if every one is grey, else three. Each was decoded on the way, one at a time."""
    parts = {"train": train, "test": test}
    indices: dict[str, Tensor] = {}
    for name, part in parts.items():
        sizes_N = torch.tensor([files.size(path) for path in part.paths], dtype=torch.int64)
        indices[f"{name}_offsets"] = torch.cat([torch.zeros(1, dtype=torch.int64), sizes_N.cumsum(0)])
        indices[f"{name}_labels"] = part.labels_N
    ends = {name: int(indices[f"{name}_offsets"][-1]) for name in parts}
    if sum(ends.values()) > MAX_BYTES:
        raise Refused(f"The images have {sum(ends.values())} bytes; at most {MAX_BYTES} are possible.", code="too_large")
    plans = {name: Plan("I64", tuple(tensor.shape)) for name, tensor in indices.items()}
    grey = True
    with tensor_file.writing(target, plans | {f"{name}_bytes": Plan("U8", (end,)) for name, end in ends.items()}) as out:
        for tensor in indices.values():
            out.write(tensor.numpy().astype("<i8").tobytes())
        for data, is_grey in verified(files, [*train.paths, *test.paths], progress):
            out.write(data)
            grey &= is_grey
    return 1 if grey else 3


def load(folder: JobFolder) -> DataSet:
    """Left on disk. Raises JobFailed (unreadable_dataset) where the file is not the data set described beside it."""
    description = folder.read_dataset()
    name = folder.dataset_file.name
    if not folder.dataset_file.is_file():
        raise unreadable(f"The job's data set, {name}, is not in its folder.")
    try:
        tensors = tensor_file.mapped(folder.dataset_file)
        train = _part(tensors, "train", description.train_images, description)
        test = _part(tensors, "test", description.test_images, description)
    except (OSError, SafetensorError, KeyError) as error:
        raise unreadable(f"{name} cannot be read: {error}.") from error
    return DataSet(train, test, description)


def _part(tensors: dict[str, Array], part: str, images: int, description: DatasetDescription) -> EncodedImages:
    data, offsets, labels = (tensors[f"{part}_{name}"] for name in ("bytes", "offsets", "labels"))
    if labels.shape != (images,) or offsets.shape != (images + 1,):
        found = f"{labels.shape} labels and {offsets.shape} offsets"
        raise unreadable(f"There are {found} of {part} images; the description says {images}.")
    if offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
        raise unreadable(f"The offsets of the {part} images do not divide their {len(data)} bytes.")
    labels_N = torch.from_numpy(labels.astype(np.int64))
    check_labels(part, labels_N, description)
    size, mode = (description.width, description.height), "L" if description.channels == 1 else "RGB"
    return EncodedImages(data, offsets.astype(np.int64), size, mode, Rows.all_of(labels_N))
