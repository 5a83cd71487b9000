"""Adversarial weight perturbation (Wu, Xia and Wang, NeurIPS 2020): where, near its weights, is the student's loss largest?"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.distillation.forward import frozen_statistics


@contextmanager
def perturbed(student: nn.Module, gamma: float, loss: Callable[[], Tensor]) -> Iterator[None]:
    """The student's weights w + gamma ||w|| g / ||g||, per weight tensor, g the gradient of ``loss()``; afterwards w again.

    Vectors (biases, batch norm) are left alone, as in the authors' code. Gradients found inside belong to the student as it is
    afterwards: take the optimizer's step outside.
    """
    weights = [
        weight for weight in student.parameters() if weight.requires_grad and weight.ndim > 1
    ]
    with frozen_statistics(student):
        gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    own = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight.add_(
                    gradient
                    * (
                        gamma
                        * weight.norm()
                        / gradient.norm().clamp_min(torch.finfo(gradient.dtype).tiny)
                    )
                )
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, own, strict=True):
                weight.copy_(before)
