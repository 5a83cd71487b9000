"""Projected gradient ascent in the L-infinity ball: the one search that every method and every evaluation uses."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Objective = Callable[[Tensor], Tensor]
"""Images [B, C, H, W] in [0, 1] -> what the adversary climbs, per example [B]."""

START_NOISE = 0.001


def pgd(
    objective: Objective,
    images_BCHW: Tensor,
    *,
    radius: float,
    step_size: float,
    steps: int,
    start: Literal["gaussian", "uniform", "clean"] = "uniform",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Adversarial images [B, C, H, W] in [0, 1], within ``radius`` of the clean ones in L-infinity. Madry et al., 2018.

    Every iterate is x + step_size * sign(gradient), projected onto the ball and onto [0, 1]; the last one is returned.
    ``radius`` and ``step_size`` are on pixels in [0, 1]. Start: x + U(-radius, radius), x + 0.001 N(0, 1), or x.
    The caller decides the networks' mode; parameters' gradients are not touched.
    """
    adversarial = _start(images_BCHW, radius, start, generator)
    lowest, highest = (images_BCHW - radius).clamp_min(0), (images_BCHW + radius).clamp_max(1)
    for _ in range(steps):
        adversarial = adversarial + step_size * gradient_sign(objective, adversarial)
        adversarial = torch.maximum(torch.minimum(adversarial, highest), lowest)
    return adversarial.clamp(0, 1)


def gradient_sign(objective: Objective, images_BCHW: Tensor) -> Tensor:
    """The sign of the objective's gradient at the images, [B, C, H, W]."""
    with torch.enable_grad():
        images_BCHW = images_BCHW.detach().requires_grad_()
        (gradient_BCHW,) = torch.autograd.grad(objective(images_BCHW).sum(), images_BCHW)
    return gradient_BCHW.sign()


def _start(
    images_BCHW: Tensor, radius: float, start: str, generator: torch.Generator | None
) -> Tensor:
    if start == "clean":
        return images_BCHW.detach()
    noise = torch.empty_like(images_BCHW)
    if start == "gaussian":
        return images_BCHW + START_NOISE * noise.normal_(generator=generator)
    return (images_BCHW + noise.uniform_(-radius, radius, generator=generator)).clamp(0, 1)
