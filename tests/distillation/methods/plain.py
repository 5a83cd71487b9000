"""Slow formulas that the methods are compared with, in double precision."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from core.distillation.methods import Method, MethodLoss
from core.distillation.models.small_cnn import SmallCnn

Network = Callable[[Tensor], Tensor]


def backward(loss: Tensor) -> None:
    """Run the backward pass, which torch does not annotate."""
    loss.backward()  # type: ignore[no-untyped-call]


def probabilities(logits: Tensor) -> Tensor:
    e = torch.exp(logits - logits.amax(1, keepdim=True))
    return e / e.sum(1, keepdim=True)


def kl(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """KL(p || q) per example."""
    p = probabilities(p_logits)
    q = probabilities(q_logits)
    return (p * (p / q).log()).sum(1)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy per example, against labels or probabilities."""
    if target.ndim == 1:
        target = torch.eye(logits.shape[1], dtype=torch.float64)[target]
    return -(target * probabilities(logits).log()).sum(1)


def in_double(network: SmallCnn, training: bool) -> SmallCnn:
    """Return a copy in double precision, in train or eval mode."""
    return copy.deepcopy(network).double().train(training)


def gradients(network: SmallCnn) -> dict[str, Tensor]:
    """Return the gradients of the parameters, by name, in double precision."""
    return {name: p.grad.double() for name, p in network.named_parameters() if p.grad is not None}


def assert_outer_loss(
    loss: MethodLoss, student: SmallCnn, plain_student: SmallCnn, expected: Tensor
) -> None:
    """Assert that the loss has the value ``expected``, and its gradient at the student."""
    total = loss.total
    torch.testing.assert_close(total.detach().double(), expected.detach(), rtol=1e-4, atol=1e-7)
    backward(total)
    backward(expected)
    actual_gradients = gradients(student)
    expected_gradients = gradients(plain_student)
    assert set(actual_gradients) == set(expected_gradients)
    for name, gradient in expected_gradients.items():
        tolerance = 2e-5 * max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(actual_gradients[name], gradient, rtol=2e-3, atol=tolerance)


def assert_inner_objective(
    method: Method[Any],
    images: Tensor,
    labels: Tensor,
    adversarial: Tensor,
    formula: Callable[[Tensor], Tensor],
) -> None:
    """Assert that the adversary's objective has the value and gradient of ``formula``.

    ``formula`` is evaluated in double precision.
    """
    method.student.eval()
    objective = method.inner(method.prepare_batch(images, labels))
    x = adversarial.clone().requires_grad_()
    plain_x = adversarial.double().requires_grad_()
    value = objective(x)
    expected = formula(plain_x)
    assert value.shape == (len(images),)
    torch.testing.assert_close(value.double(), expected, rtol=1e-3, atol=1e-6)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), plain_x)
    tolerance = 1e-4 * expected_gradient.abs().max().item()
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=2e-3, atol=tolerance)
