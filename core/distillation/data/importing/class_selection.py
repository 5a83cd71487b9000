"""Which classes of somebody's data set are kept, and in which order. K classes, N images."""

from collections.abc import Sequence

import torch

from core.distillation.data.images import Images
from core.distillation.data.importing.file_kinds import quoted
from core.errors import Refused
from core.jobspec.data import Reading

MAX_CLASSES = 100_000


def choose(names: Sequence[str], wanted: Reading) -> list[str]:
    """Of the names that are there, those to keep, in the order of their labels. Raises Refused (unfitting_classes)."""
    if wanted.every is not None:
        kept = sorted(names)[:: wanted.every]
        if len(kept) < 2:
            message = f"Of {len(names)} classes every {wanted.every}th is {len(kept)} class; at least two are needed."
            raise Refused(message, code="unfitting_classes")
        return kept
    if wanted.classes is None:
        return list(names)
    there = set(names)
    for name in wanted.classes:
        if name not in there:
            raise Refused(
                f"There is no class {quoted(name)}, which the list of classes names.",
                code="unfitting_classes",
            )
    return list(wanted.classes)


def sentence(names: Sequence[str], kept: Sequence[str]) -> str:
    """For the report; empty where all are kept."""
    return "" if len(kept) == len(names) else f" Of its {len(names)} classes {len(kept)} were kept."


def restrict(images: Images, names: Sequence[str], kept: Sequence[str]) -> Images:
    """The images of the classes that are kept, with labels that count those."""
    place = {name: at for at, name in enumerate(kept)}
    new_K = torch.tensor([place.get(name, -1) for name in names])
    labels_N = new_K[images.labels_N]
    kept_M = (labels_N >= 0).nonzero().flatten()
    return Images(images.images_NCHW[kept_M], labels_N[kept_M])
