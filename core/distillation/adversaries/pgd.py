"""Projected gradient ascent in the L-infinity ball: the search of every method and evaluation.

B batch size, C H W channels, height and width of an image.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Objective = Callable[[Tensor], Tensor]
"""Images [B, C, H, W] -> what the adversary maximizes, per example [B]. They are in [0, 1], but for
a first iterate."""
IterateTransform = Callable[[Tensor], Tensor]
"""An iterate [B, C, H, W] -> the one at which the gradient is taken, and from which the step is."""
Start = Literal["gaussian", "uniform", "uniform_unclamped", "clean"]

START_NOISE = 0.001
"""Standard deviation of the gaussian start, on pixels in [0, 1]."""


def pgd(
    objective: Objective,
    images_BCHW: Tensor,
    *,
    radius: float,
    step_size: float,
    steps: int,
    start: Start = "uniform",
    generator: torch.Generator | None = None,
    transform: IterateTransform | None = None,
) -> Tensor:
    """Return adversarial images [B, C, H, W] in [0, 1], within ``radius`` in L-infinity.

    Madry et al., 2018: every iterate is x + step_size * sign(gradient), projected onto the ball and
    onto [0, 1]; the last one is returned. ``radius`` and ``step_size`` are on pixels in [0, 1].
    It starts from x + U(-radius, radius), clamped to [0, 1] or not, from x + 0.001 N(0, 1), not
    clamped, or from x (``start``). The first gradient is taken there, outside [0, 1] too.
    ``transform`` is applied to every iterate before its gradient is taken, but not to the last.
    The caller decides the networks' mode; the gradients of parameters are not touched.
    """
    adversarial_BCHW = _starting_point(images_BCHW, radius, start, generator)
    lower_BCHW = (images_BCHW - radius).clamp_min(0)
    upper_BCHW = (images_BCHW + radius).clamp_max(1)
    for _ in range(steps):
        if transform is not None:
            adversarial_BCHW = transform(adversarial_BCHW)
        step_BCHW = step_size * gradient_sign(objective, adversarial_BCHW)
        adversarial_BCHW = adversarial_BCHW + step_BCHW
        adversarial_BCHW = torch.maximum(torch.minimum(adversarial_BCHW, upper_BCHW), lower_BCHW)
    return adversarial_BCHW.clamp(0, 1)


def gradient_sign(objective: Objective, images_BCHW: Tensor) -> Tensor:
    """Return the sign of the objective's gradient at the images, [B, C, H, W]."""
    with torch.enable_grad():
        images_BCHW = images_BCHW.detach().requires_grad_()
        # The gradient of a sum over examples is each example's own where they are independent: not
        # with batch norms in train mode, whose statistics are then attacked, too.
        (gradient_BCHW,) = torch.autograd.grad(objective(images_BCHW).sum(), images_BCHW)
    return gradient_BCHW.sign()


def _starting_point(
    images_BCHW: Tensor, radius: float, start: Start, generator: torch.Generator | None
) -> Tensor:
    if start == "clean":
        return images_BCHW.detach()
    noise_BCHW = torch.empty_like(images_BCHW)
    if start == "gaussian":
        return images_BCHW + START_NOISE * noise_BCHW.normal_(generator=generator)
    noise_BCHW.uniform_(-radius, radius, generator=generator)
    start_BCHW = images_BCHW + noise_BCHW
    return start_BCHW if start == "uniform_unclamped" else start_BCHW.clamp(0, 1)
