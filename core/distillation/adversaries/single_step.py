"""N-FGSM (de Jorge et al., 2022): one step from noise beyond the ball, without projection.

B batch size, C H W channels, height and width of an image.
"""

import torch
from torch import Tensor

from core.distillation.adversaries.pgd import IterateTransform, Objective, gradient_sign


def n_fgsm(
    objective: Objective,
    images_BCHW: Tensor,
    *,
    radius: float,
    step_factor: float = 1.0,
    noise_factor: float = 2.0,
    clamp_noise: bool = False,
    generator: torch.Generator | None = None,
    transform: IterateTransform | None = None,
) -> Tensor:
    """Return adversarial images [B, C, H, W] in [0, 1].

    x + U(-k r, k r), then one step of a r along the gradient's sign, then clamped to [0, 1]:
    r is ``radius`` on pixels in [0, 1], a ``step_factor``, k ``noise_factor``. The perturbation is
    not projected onto the ball: it reaches up to (k + a) r. The paper takes the gradient at the
    noisy image as it is; its authors' code clamps that to [0, 1] first (``clamp_noise``).
    ``transform`` is applied to the noisy image before its gradient is taken.
    """
    noise_BCHW = torch.empty_like(images_BCHW).uniform_(-1, 1, generator=generator)
    noisy_BCHW = images_BCHW + noise_factor * radius * noise_BCHW
    if clamp_noise:
        noisy_BCHW = noisy_BCHW.clamp(0, 1)
    if transform is not None:
        noisy_BCHW = transform(noisy_BCHW)
    step_BCHW = step_factor * radius * gradient_sign(objective, noisy_BCHW)
    return (noisy_BCHW + step_BCHW).clamp(0, 1)
