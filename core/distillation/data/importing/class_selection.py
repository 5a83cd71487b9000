"""Which classes of a data set are imported, and in which order. K classes, N images, M selected."""

from collections.abc import Sequence

import torch

from core.distillation.data.images import Images
from core.distillation.data.quoting import quote
from core.errors import Refused
from core.jobspec.data import ImportOptions

MAX_CLASSES = 100_000
MAX_NAME_CHARACTERS = 200
"""As in the options, so that every class can be selected by name."""


def select_classes(names: Sequence[str], options: ImportOptions) -> list[str]:
    """Return the selected class names in the order of their new labels.

    Raises Refused (unfitting_classes) for a name that does not exist, and for fewer than two
    classes.
    """
    if options.every is not None:
        selected = sorted(names)[:: options.every]
        if len(selected) < 2:
            raise Refused(
                f"every = {options.every} selects {len(selected)} of {len(names)} classes; "
                "a data set must have at least two.",
                code="unfitting_classes",
            )
        return selected
    if options.classes is None:
        return list(names)
    existing = set(names)
    for name in options.classes:
        if name not in existing:
            raise Refused(
                f"classes names {quote(name)}, and there is no such class; it must be the name of "
                "a class folder or of a class in the data set.",
                code="unfitting_classes",
            )
    return list(options.classes)


def selection_sentence(names: Sequence[str], selected: Sequence[str]) -> str:
    """Return a sentence for the report; empty where all classes are imported."""
    if len(selected) == len(names):
        return ""
    return f" {len(selected)} of its {len(names)} classes were imported."


def images_of_classes(images: Images, names: Sequence[str], selected: Sequence[str]) -> Images:
    """Return the images of the selected classes, labeled by position in ``selected``."""
    new_labels = {name: label for label, name in enumerate(selected)}
    new_label_K = torch.tensor([new_labels.get(name, -1) for name in names])
    labels_N = new_label_K[images.labels_N]
    index_M = (labels_N >= 0).nonzero().flatten()
    return Images(images.images_NCHW[index_M], labels_N[index_M])
