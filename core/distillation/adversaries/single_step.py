"""N-FGSM (de Jorge et al., 2022): one step from noise beyond the ball, without projection."""

import torch
from torch import Tensor

from core.distillation.adversaries.pgd import Objective, gradient_sign


def n_fgsm(
    objective: Objective,
    images_BCHW: Tensor,
    *,
    radius: float,
    step_factor: float = 1.0,
    noise_factor: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Adversarial images [B, C, H, W] in [0, 1]: x + U(-k r, k r), one step of a*r along the gradient's sign, clamped.

    Up to (noise_factor + step_factor) * radius away from the clean images: the perturbation is not projected.
    """
    noise = torch.empty_like(images_BCHW).uniform_(-1, 1, generator=generator)
    noisy_BCHW = images_BCHW + noise_factor * radius * noise
    return (noisy_BCHW + step_factor * radius * gradient_sign(objective, noisy_BCHW)).clamp(0, 1)
