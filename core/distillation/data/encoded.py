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
from core.distillation.data.images import DataSet
from core.distillation.data.importing.file_kinds import quoted
from core.distillation.data.importing.file_source import Files, Progress
from core.distillation.data.importing.verification import verified
from core.distillation.data.memory_mapped_images import Rows
from core.distillation.data.packed import check_labels, require_file, unreadable
from core.distillation.data.tensor_file import Array, Plan
from core.errors import Refused
from core.job_folder import JobFolder
from core.jobspec.data import DatasetDescription

MAX_BYTES = 2**38


@dataclass(frozen=True)
class Part:
    paths: Sequence[str]
    labels_N: Tensor


def write(target: Path, files: Files, train: Part, test: Part, progress: Progress) -> int:
    """How many channels the images have: one if every one is grey, else three. Each is decoded on the way, and let go again.

    Raises Refused naming the file that cannot be used.
    """
    paths = [*train.paths, *test.paths]
    sizes_N = torch.tensor([files.size(path) for path in paths], dtype=torch.int64)
    plans, indices = _plan(train, test, sizes_N)
    grey = True
    with tensor_file.writing(target, plans) as out:
        for tensor in indices:
            out.write(tensor.numpy().astype("<i8").tobytes())
        images = verified(files, paths, progress)
        for path, size, (data, is_grey) in zip(paths, sizes_N.tolist(), images, strict=True):
            if len(data) != size:
                raise Refused(f"{quoted(path)} changed while it was read.", code="unreadable_image")
            out.write(data)
            grey &= is_grey
    return 1 if grey else 3


def _plan(train: Part, test: Part, sizes_N: Tensor) -> tuple[dict[str, Plan], list[Tensor]]:
    """Of the whole file, and the tensors that it begins with."""
    if int(sizes_N.sum()) > MAX_BYTES:
        raise Refused(
            f"The images have {int(sizes_N.sum())} bytes; at most {MAX_BYTES} are possible.",
            code="too_large",
        )
    sizes = {"train": sizes_N[: len(train.paths)], "test": sizes_N[len(train.paths) :]}
    zero = torch.zeros(1, dtype=torch.int64)
    indices = {
        f"{part}_offsets": torch.cat([zero, of_part.cumsum(0)]) for part, of_part in sizes.items()
    }
    indices |= {"train_labels": train.labels_N, "test_labels": test.labels_N}
    plans = {name: Plan("I64", tuple(tensor.shape)) for name, tensor in indices.items()}
    plans |= {f"{part}_bytes": Plan("U8", (int(of_part.sum()),)) for part, of_part in sizes.items()}
    return plans, list(indices.values())


def load(folder: JobFolder) -> DataSet:
    """Left on disk. Raises JobFailed (unreadable_dataset) where the file is not the data set described beside it."""
    description = folder.read_dataset()
    name = require_file(folder)
    try:
        tensors = tensor_file.mapped(folder.dataset_file)
        train = _part(tensors, "train", description.train_images, description)
        test = _part(tensors, "test", description.test_images, description)
    except (OSError, SafetensorError, KeyError) as error:
        raise unreadable(f"{name} cannot be read: {error}.") from error
    return DataSet(train, test, description)


def _part(
    tensors: dict[str, Array], part: str, images: int, description: DatasetDescription
) -> EncodedImages:
    data, offsets, labels = (tensors[f"{part}_{name}"] for name in ("bytes", "offsets", "labels"))
    if labels.shape != (images,) or offsets.shape != (images + 1,):
        found = f"{labels.shape} labels and {offsets.shape} offsets"
        raise unreadable(f"There are {found} of {part} images; the description says {images}.")
    if offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
        raise unreadable(f"The offsets of the {part} images do not divide their {len(data)} bytes.")
    labels_N = torch.from_numpy(labels.astype(np.int64))
    check_labels(part, labels_N, description)
    size, mode = (
        (description.width, description.height),
        "L" if description.channels == 1 else "RGB",
    )
    return EncodedImages(data, offsets.astype(np.int64), size, mode, Rows.all_of(labels_N))
