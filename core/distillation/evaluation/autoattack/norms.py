"""Lengths and balls in L-infinity and L2. B images, each [C, H, W]; radii on pixels in [0, 1]."""

from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]
TINY = 1e-12


def length(difference_BCHW: Tensor, norm: Norm) -> Tensor:
    """Return the norm of each image, [B, 1, 1, 1]."""
    flat_BD = difference_BCHW.flatten(1)
    lengths_B = flat_BD.abs().amax(dim=1) if norm == "linf" else flat_BD.square().sum(dim=1).sqrt()
    return lengths_B[:, None, None, None]


def project(images_BCHW: Tensor, centers_BCHW: Tensor, radius: float, norm: Norm) -> Tensor:
    """Project into the balls around the centers, then clamp to [0, 1]."""
    if norm == "linf":
        return images_BCHW.clamp(centers_BCHW - radius, centers_BCHW + radius).clamp_(0, 1)
    difference_BCHW = images_BCHW - centers_BCHW
    lengths_B111 = length(difference_BCHW, norm)
    scaled_BCHW = difference_BCHW / (lengths_B111 + TINY) * lengths_B111.clamp_max(radius)
    return (centers_BCHW + scaled_BCHW).clamp(0, 1)


def steepest(gradient_BCHW: Tensor, norm: Norm) -> Tensor:
    """Return the direction of unit length in which a linear function rises fastest."""
    if norm == "linf":
        return gradient_BCHW.sign()
    return gradient_BCHW / (length(gradient_BCHW, norm) + TINY)


def random_start(
    images_BCHW: Tensor, radius: float, norm: Norm, generator: torch.Generator
) -> Tensor:
    """Return points on the balls' surfaces in random directions, clamped to [0, 1]."""
    noise_BCHW = torch.empty_like(images_BCHW)
    if norm == "linf":
        noise_BCHW.uniform_(-1, 1, generator=generator)
    else:
        noise_BCHW.normal_(generator=generator)
    return (images_BCHW + radius * noise_BCHW / (length(noise_BCHW, norm) + TINY)).clamp(0, 1)
