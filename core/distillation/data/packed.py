"""The file of decoded images of one size: train_images and test_images u8 [N, C, H, W], their labels i64 [N]. K classes."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.distillation.data import tensor_file
from core.distillation.data.images import DataSet, Found, Images
from core.distillation.data.importing import class_selection
from core.distillation.data.memory_mapped_images import MappedImages, Rows
from core.distillation.data.tensor_file import Plan
from core.errors import JobFailed, Refused
from core.job_folder import JobFolder
from core.jobspec.data import DatasetDescription, Reading


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


def keep(
    target: Path,
    train: Images,
    test: Images,
    class_names: tuple[str, ...],
    wanted: Reading,
    layout: str,
    ignored_files: int = 0,
) -> Found:
    """Writes the classes that are wanted of images that came decoded and split, and says what they are."""
    if wanted.image_size is not None:
        raise Refused(
            "image_size is for image files; these images are decoded already.",
            code="unfitting_image_size",
        )
    kept = class_selection.choose(class_names, wanted)
    if kept != list(class_names):
        train, test = (class_selection.restrict(part, class_names, kept) for part in (train, test))
    write(target, train, test)
    layout += class_selection.sentence(class_names, kept)
    train_K, test_K = (torch.bincount(part.labels_N, minlength=len(kept)) for part in (train, test))
    return Found(describe(train, test, tuple(kept)), layout, train_K, test_K, ignored_files)


def write(path: Path, train: Images, test: Images) -> None:
    """Whole or not at all. Without a second copy of the images in memory."""
    tensors = {
        "train_labels": train.labels_N,
        "test_labels": test.labels_N,
        "train_images": train.images_NCHW,
        "test_images": test.images_NCHW,
    }
    plans = {
        name: Plan("I64" if name.endswith("labels") else "U8", tuple(tensor.shape))
        for name, tensor in tensors.items()
    }
    with tensor_file.writing(path, plans) as out:
        for tensor in tensors.values():
            out.write(tensor.contiguous().numpy().data)


def require_file(folder: JobFolder) -> str:
    """The name of the job's data set, which must be there."""
    if not folder.dataset_file.is_file():
        raise unreadable(f"The job's data set, {folder.dataset_file.name}, is not in its folder.")
    return folder.dataset_file.name


def load(folder: JobFolder) -> DataSet:
    """Raises JobFailed (unreadable_dataset) with a sentence where the file is not the data set described beside it."""
    description = folder.read_dataset()
    name = require_file(folder)
    try:
        tensors = load_file(folder.dataset_file)
    except SafetensorError as error:
        raise unreadable(f"{name} cannot be read: {error}.") from error
    train = _part(tensors, "train", description.train_images, description)
    test = _part(tensors, "test", description.test_images, description)
    return DataSet(train, test, description)


def load_mapped(path: Path, description: DatasetDescription) -> MappedImages:
    """The training images of a packed file, left on disk. Raises JobFailed as ``load`` does."""
    try:
        tensors = tensor_file.mapped(path)
        images, labels = tensors["train_images"], tensors["train_labels"]
    except (OSError, SafetensorError, KeyError) as error:
        raise unreadable(f"{path.name} cannot be read: {error}.") from error
    wanted = (description.train_images, description.channels, description.height, description.width)
    if images.shape != wanted or images.dtype != "uint8" or labels.shape != wanted[:1]:
        found = f"{images.dtype} {images.shape}, and {labels.shape} labels"
        raise unreadable(f"{path.name} has training images {found}; the description says {wanted}.")
    labels_N = torch.from_numpy(labels.copy())
    check_labels("extra", labels_N, description)
    return MappedImages(images, Rows.all_of(labels_N))


def _part(
    tensors: dict[str, Tensor], part: str, images: int, description: DatasetDescription
) -> Images:
    try:
        found = Images(tensors[f"{part}_images"], tensors[f"{part}_labels"])
    except KeyError as error:
        raise unreadable(f"The data set's file has no tensor {error}.") from error
    except (TypeError, ValueError) as error:
        raise unreadable(f"The data set's {part} images cannot be used: {error}") from error
    described = (images, description.channels, description.height, description.width)
    if found.images_NCHW.shape != described:
        raise unreadable(
            f"The {part} images have shape {tuple(found.images_NCHW.shape)}; the description says {described}."
        )
    check_labels(part, found.labels_N, description)
    return found


def check_labels(part: str, labels_N: Tensor, description: DatasetDescription) -> None:
    lowest, highest = (int(label) for label in labels_N.aminmax())
    if lowest < 0 or highest >= description.classes:
        raise unreadable(
            f"The {part} labels go from {lowest} to {highest}; {description.classes} classes are described."
        )


def unreadable(message: str) -> JobFailed:
    return JobFailed(code="unreadable_dataset", failure_class="user", message=message)
