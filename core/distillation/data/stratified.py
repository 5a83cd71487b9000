"""Stratified splits: every class has its share of each part. N images, U used ones, K classes."""

import torch
from torch import Tensor

from core.distillation.data.images import ImageSource


def split(
    images: ImageSource, held_out: int, limit: int | None, seed: int
) -> tuple[ImageSource, ImageSource]:
    """Return (training, held-out) images: disjoint, together ``limit`` images, or all.

    The same seed gives the same split on every device. In the images used, and in those held out,
    each class has its exact share to within one image. Raises ValueError for more held-out images
    than there are.
    """
    used = min(limit or len(images), len(images))
    if not 0 <= held_out <= used:
        raise ValueError(f"{held_out} images cannot be held out of {used}.")
    labels_N = images.labels_N.cpu()
    generator = torch.Generator().manual_seed(seed)
    used_U = stratified_mask(labels_N, used, generator).nonzero().flatten()
    held_out_U = stratified_mask(labels_N[used_U], held_out, generator)
    return images.subset(used_U[~held_out_U]), images.subset(used_U[held_out_U])


def stratified_mask(labels_N: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a mask [N] of ``count`` random images, of each class its share, rounded up or down."""
    images_K = torch.bincount(labels_N)
    quota_K = _quotas(images_K, count, generator)
    order_N = torch.randperm(len(labels_N), generator=generator)
    order_N = order_N[labels_N[order_N].argsort(stable=True)]
    # In this order images are random within their class, and classes follow one another.
    first_K = images_K.cumsum(0) - images_K
    rank_in_class_N = torch.arange(len(labels_N)) - first_K[labels_N[order_N]]
    mask_N = torch.zeros(len(labels_N), dtype=torch.bool)
    mask_N[order_N] = rank_in_class_N < quota_K[labels_N[order_N]]
    return mask_N


def _quotas(images_K: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Divide ``count`` in proportion to ``images_K`` by largest remainders; ties are random."""
    total = max(1, int(images_K.sum()))
    quota_K = images_K * count // total
    remainder_K = images_K * count % total
    order_K = torch.randperm(len(images_K), generator=generator)
    order_K = order_K[remainder_K[order_K].argsort(descending=True, stable=True)]
    quota_K[order_K[: count - int(quota_K.sum())]] += 1
    return quota_K
