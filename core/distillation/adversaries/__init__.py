"""How to search the ball around an image. An adversary climbs whatever objective it is given and knows no method."""

import torch
from torch import Tensor

from core.distillation.adversaries.pgd import Objective, pgd
from core.distillation.adversaries.single_step import n_fgsm
from core.jobspec.training.adversary import AdversarySettings

__all__ = ["Objective", "attack", "n_fgsm", "pgd"]


def attack(
    settings: AdversarySettings,
    objective: Objective,
    images_BCHW: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Adversarial images by the spec's adversary, [B, C, H, W] in [0, 1]."""
    if settings.name == "pgd":
        return pgd(
            objective,
            images_BCHW,
            radius=settings.radius,
            step_size=settings.step_size,
            steps=settings.steps,
            start=settings.start,
            generator=generator,
        )
    return n_fgsm(
        objective,
        images_BCHW,
        radius=settings.radius,
        step_factor=settings.step_factor,
        noise_factor=settings.noise_factor,
        generator=generator,
    )
