"""Batches of a target's images, and their adversarial versions under PGD-20."""

from collections.abc import Iterator

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.evaluation.attacks import adversarial_images
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.jobspec.resolved import ResolvedPgdAttack


def batches(
    target: EvaluationTarget, start: int = 0, limit: int | None = None
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield (index after the last image, images [B, C, H, W], labels [B]), from image ``start``."""
    end = min(len(target.images), limit or len(target.images))
    device = target.images.labels_N.device
    for first in range(start, end, target.batch_size):
        indices_B = torch.arange(first, min(first + target.batch_size, end), device=device)
        yield first + len(indices_B), *target.images.batch(indices_B)


def pgd20_images(
    network: Classifier,
    target: EvaluationTarget,
    images_BCHW: Tensor,
    labels_B: Tensor,
    end: int,
    purpose: str,
    radius: float | None = None,
) -> Tensor:
    """Return adversarial images made for ``network``, which must be in eval mode.

    PGD on cross entropy: 20 steps of a quarter of the radius, by default the target's. The uniform
    start is a function of the target's seed, ``purpose`` and ``end``, which identifies the batch.
    """
    radius = target.radius if radius is None else radius
    generator = seeds.generator(images_BCHW.device, target.seed, purpose, end)
    attack = ResolvedPgdAttack(radius=radius, step_size=radius / 4)
    return adversarial_images(attack, network, images_BCHW, labels_B, generator)


def networks(target: EvaluationTarget) -> dict[str, Classifier]:
    """Return the network and, where there is one, its reference, by their names in the report."""
    if target.reference is None:
        return {"network": target.network}
    return {"network": target.network, "reference": target.reference}
