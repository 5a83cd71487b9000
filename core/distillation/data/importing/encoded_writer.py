"""Writes the file of an encoded data set, whose layout ``data.encoded`` describes. N images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.distillation.data import tensor_file
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.image_files import ImageCounts
from core.distillation.data.importing.verification import verify_images
from core.distillation.data.quoting import quote
from core.distillation.data.tensor_file import TensorSpec
from core.errors import Refused

MAX_BYTES = 2**38


@dataclass(frozen=True)
class EncodedPart:
    """The training or the test images: paths of image files, and their labels."""

    paths: Sequence[str]
    labels_N: Tensor


def write_encoded(
    target: Path,
    files: FileSource,
    train: EncodedPart,
    test: EncodedPart,
    progress: ProgressCallback,
) -> tuple[int, list[str]]:
    """Copy the image files into ``target``. Return the number of channels, and remarks.

    There is 1 channel if every image is gray, else 3. Each image is decoded once, to be sure that
    it can be. Raises Refused naming the files that cannot be used.
    """
    paths = [*train.paths, *test.paths]
    sizes_N = torch.tensor([files.size(path) for path in paths], dtype=torch.int64)
    specs, index_tensors = _layout(train, test, sizes_N)
    all_gray = True
    counts = ImageCounts()
    orientations = bytearray()
    with tensor_file.write_tensors(target, specs) as file:
        for tensor in index_tensors:
            file.write(tensor.numpy().astype("<i8").tobytes())
        images = verify_images(files, paths, progress)
        for path, size, image in zip(paths, sizes_N.tolist(), images, strict=True):
            if len(image.data) != size:
                raise Refused(
                    f"{quote(path)} changed from {size} to {len(image.data)} bytes while it was "
                    "imported; import it again when nothing writes to it.",
                    code="unreadable_image",
                )
            file.write(image.data)
            orientations.append(image.orientation)
            all_gray &= image.is_gray
            counts.add(image)
        file.write(orientations)
    return 1 if all_gray else 3, counts.remarks()


def _layout(
    train: EncodedPart, test: EncodedPart, sizes_N: Tensor
) -> tuple[dict[str, TensorSpec], list[Tensor]]:
    """Return the specs of all tensors of the file, and those that it begins with."""
    total_bytes = int(sizes_N.sum())
    if total_bytes > MAX_BYTES:
        raise Refused(
            f"The images have {total_bytes} bytes in all; a data set may have at most {MAX_BYTES}.",
            code="too_large",
        )
    sizes = {"train": sizes_N[: len(train.paths)], "test": sizes_N[len(train.paths) :]}
    zero = torch.zeros(1, dtype=torch.int64)
    index_tensors = {
        f"{part}_offsets": torch.cat([zero, part_sizes_N.cumsum(0)])
        for part, part_sizes_N in sizes.items()
    }
    index_tensors |= {"train_labels": train.labels_N, "test_labels": test.labels_N}
    specs = {name: TensorSpec("I64", tuple(it.shape)) for name, it in index_tensors.items()}
    specs |= {
        f"{part}_bytes": TensorSpec("U8", (int(part_sizes_N.sum()),))
        for part, part_sizes_N in sizes.items()
    }
    specs |= {
        f"{part}_orientations": TensorSpec("U8", (len(part_sizes_N),))
        for part, part_sizes_N in sizes.items()
    }
    return specs, list(index_tensors.values())
