"""Which loss term was not finite, or had a gradient that was not: why a training stopped."""

import torch
from torch import Tensor, nn

from core.distillation.methods import MethodLoss
from core.errors import JobFailed


def trained_parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Return the optimizer's parameters that require a gradient."""
    return [
        parameter
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.requires_grad
    ]


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Return the L2 norm of all gradients together, a scalar on their device."""
    parameters = trained_parameters(optimizer)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def non_finite_error(loss: MethodLoss, parameters: list[nn.Parameter], step: int) -> JobFailed:
    """Return the error that names the first term at fault. ``step`` counts from 1.

    A term whose value is not finite comes first, then one whose gradient is not, though its value
    is.
    """
    for name, term in loss.terms.items():
        if not term.value.isfinite():
            return _error(f"The loss term {name} became {term.value.item()}", step)
    for name, term in loss.terms.items():
        gradients = torch.autograd.grad(
            term.value, parameters, retain_graph=True, allow_unused=True
        )
        if not all(gradient.isfinite().all() for gradient in gradients if gradient is not None):
            return _error(f"The gradient of the loss term {name} is not finite", step)
    return _error("The sum of the loss terms' gradients is not finite", step)


def _error(cause: str, step: int) -> JobFailed:
    message = (
        f"{cause} at step {step}; the weights were not updated. "
        "A lower learning rate or a smaller weight of the term may help."
    )
    return JobFailed("non_finite_loss", "user", message)
