"""Searches of the ball around an image.

An adversary maximizes whatever objective it is given; it knows no method.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from core.distillation.adversaries.pgd import IterateTransform, Objective, pgd
from core.distillation.adversaries.single_step import n_fgsm
from core.jobspec.training.adversary import AdversarySettings

__all__ = ["ADVERSARIES", "IterateTransform", "Objective", "n_fgsm", "pgd", "run_adversary"]

ADVERSARIES: dict[str, Callable[..., Tensor]] = {
    "pgd": pgd,
    "n_fgsm": n_fgsm,
}
"""By the name in a spec. The settings of each are the keyword arguments of its function."""


def run_adversary(
    settings: AdversarySettings,
    objective: Objective,
    images_BCHW: Tensor,
    generator: torch.Generator,
    transform: IterateTransform | None = None,
) -> Tensor:
    """Return adversarial images [B, C, H, W] in [0, 1], by the adversary that a spec names.

    ``student_mode`` is the caller's: it puts the attacked network into that mode beforehand.
    ``transform`` is applied to every iterate before its gradient is taken.
    """
    adversary = ADVERSARIES[settings.name]
    parameters = settings.model_dump(exclude={"name", "student_mode"})
    return adversary(objective, images_BCHW, generator=generator, transform=transform, **parameters)
