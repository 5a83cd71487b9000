"""Adversarial weight perturbation (Wu, Xia and Wang, NeurIPS 2020).

Each step descends the gradient taken where, near the student's weights, the loss is largest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.distillation.network_modes import frozen_statistics


@contextmanager
def perturbed_weights(
    student: nn.Module, gamma: float, loss: Callable[[], Tensor]
) -> Iterator[None]:
    """Move the student's weights w to w + gamma ||w|| g / ||g||, and back to w afterwards.

    g is the gradient of ``loss()``; norms are L2, per weight tensor. Vectors (biases, batch norm)
    stay as they are, as in the authors' code. Call ``backward`` inside and the optimizer's step
    outside: the step belongs to w.
    """
    weights = [
        weight for weight in student.parameters() if weight.requires_grad and weight.ndim > 1
    ]
    with frozen_statistics(student):
        gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                smallest = torch.finfo(gradient.dtype).tiny
                length = gamma * weight.norm() / gradient.norm().clamp_min(smallest)
                weight.add_(gradient * length)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, original in zip(weights, before, strict=True):
                weight.copy_(original)
