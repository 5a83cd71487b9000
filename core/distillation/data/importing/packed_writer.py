"""Writes the file of a packed data set, whose layout ``data.packed`` describes.

N images, C H W image, K classes.
"""

from pathlib import Path

import torch

from core.distillation.data import tensor_file
from core.distillation.data.images import Images
from core.distillation.data.importing.class_selection import (
    images_of_classes,
    select_classes,
    selection_sentence,
)
from core.distillation.data.importing.import_result import ImportResult
from core.distillation.data.importing.layout.ignored_files import IgnoredFiles
from core.distillation.data.quoting import quote
from core.distillation.data.tensor_file import TensorSpec
from core.errors import Refused
from core.jobspec.data import DatasetDescription, ImportOptions


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


def write_selected_classes(
    target: Path,
    train: Images,
    test: Images,
    class_names: tuple[str, ...],
    options: ImportOptions,
    layout: str,
    ignored: IgnoredFiles | None = None,
) -> ImportResult:
    """Write the selected classes of images that came decoded and split.

    Raises Refused: unfitting_image_size, unfitting_classes where the options do not apply;
    empty_class for a class without images.
    """
    if options.image_size is not None:
        raise Refused(
            "image_size applies to image files only, and these images are decoded already; "
            "import them without it.",
            code="unfitting_image_size",
        )
    selected = select_classes(class_names, options)
    if selected != list(class_names):
        train = images_of_classes(train, class_names, selected)
        test = images_of_classes(test, class_names, selected)
    train_K = torch.bincount(train.labels_N, minlength=len(selected))
    test_K = torch.bincount(test.labels_N, minlength=len(selected))
    for part, images_K in (("training", train_K), ("test", test_K)):
        if not images_K.all():
            name = selected[int((images_K == 0).nonzero()[0])]
            raise Refused(f"The class {quote(name)} has no {part} images.", code="empty_class")
    write_packed(target, train, test)
    return ImportResult(
        describe(train, test, tuple(selected)),
        layout + selection_sentence(class_names, selected),
        train_K,
        test_K,
        ignored or IgnoredFiles(),
    )


def write_packed(path: Path, train: Images, test: Images) -> None:
    """Write the file atomically, without a second copy of the images in memory."""
    tensors = {
        "train_labels": train.labels_N,
        "test_labels": test.labels_N,
        "train_images": train.images_NCHW,
        "test_images": test.images_NCHW,
    }
    specs = {
        name: TensorSpec("I64" if name.endswith("labels") else "U8", tuple(tensor.shape))
        for name, tensor in tensors.items()
    }
    with tensor_file.write_tensors(path, specs) as file:
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().data)
