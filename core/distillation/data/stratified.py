"""Sets images aside so that every class keeps its share. N images, K classes."""

import torch
from torch import Tensor

from core.distillation.data.images import ImageSource


def split(
    images: ImageSource, held_out: int, limit: int | None, seed: int
) -> tuple[ImageSource, ImageSource]:
    """(training, held out): disjoint; together ``limit`` images, or all; the same for the same seed on every device.

    Of the images used, and of those held out, each class has its exact share to within one image. Raises ValueError where
    there are not that many images.
    """
    used = min(limit or len(images), len(images))
    if not 0 <= held_out <= used:
        raise ValueError(f"{held_out} images cannot be held out of {used}.")
    labels_N = images.labels_N.cpu()
    generator = torch.Generator().manual_seed(seed)
    used_U = choose(labels_N, used, generator).nonzero().flatten()
    held_out_U = choose(labels_N[used_U], held_out, generator)
    return images.subset(used_U[~held_out_U]), images.subset(used_U[held_out_U])


def choose(labels_N: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """A mask [N] of ``count`` images, of each class its share rounded up or down; which ones is left to chance."""
    images_K = torch.bincount(labels_N)
    quota_K = _shares(images_K, count, generator)
    order_N = torch.randperm(len(labels_N), generator=generator)
    order_N = order_N[labels_N[order_N].argsort(stable=True)]
    first_K = images_K.cumsum(0) - images_K
    rank_N = torch.arange(len(labels_N)) - first_K[labels_N[order_N]]
    mask_N = torch.zeros(len(labels_N), dtype=torch.bool)
    mask_N[order_N] = rank_N < quota_K[labels_N[order_N]]
    return mask_N


def _shares(images_K: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` divided in proportion to ``images_K``, by largest remainders; among equal ones chance decides."""
    total = max(1, int(images_K.sum()))
    shares_K = images_K * count // total
    remainders_K = images_K * count % total
    order_K = torch.randperm(len(images_K), generator=generator)
    order_K = order_K[remainders_K[order_K].argsort(descending=True, stable=True)]
    shares_K[order_K[: count - int(shares_K.sum())]] += 1
    return shares_K
