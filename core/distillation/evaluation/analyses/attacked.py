"""The subject's test images, batch by batch, and their adversarial forms under PGD-20 at its radius."""

from collections.abc import Iterator

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.evaluation.attacks import pgd_images
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import PgdAttack


def batches(
    subject: EvaluationTarget, start: int = 0, limit: int | None = None
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(where the batch ends, images [B, C, H, W], labels [B]), from image ``start`` on."""
    end = min(len(subject.images), limit or len(subject.images))
    for begin in range(start, end, subject.batch_size):
        indices = torch.arange(
            begin, min(begin + subject.batch_size, end), device=subject.images.labels_N.device
        )
        yield begin + len(indices), *subject.images.batch(indices)


def attacked(
    network: Classifier,
    subject: EvaluationTarget,
    images_BCHW: Tensor,
    labels_B: Tensor,
    end: int,
    purpose: str,
    radius: float | None = None,
) -> Tensor:
    """PGD-20 on cross entropy, uniform start, a step of a quarter of the radius. Networks must be in eval mode."""
    radius = subject.radius if radius is None else radius
    attack = PgdAttack(radius=radius, step_size=radius / 4)
    return pgd_images(
        attack,
        network,
        images_BCHW,
        labels_B,
        seeds.generator(images_BCHW.device, subject.seed, purpose, end),
    )


def networks(subject: EvaluationTarget) -> dict[str, Classifier]:
    return {"network": subject.network} | (
        {"reference": subject.reference} if subject.reference is not None else {}
    )
