"""The slow formulas that methods are compared with, in double precision."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from core.distillation.methods import Method, MethodLoss
from core.distillation.models.small_cnn import SmallCnn

Network = Callable[[Tensor], Tensor]


def probabilities(logits: Tensor) -> Tensor:
    e = torch.exp(logits - logits.amax(1, keepdim=True))
    return e / e.sum(1, keepdim=True)


def kl(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    p, q = probabilities(p_logits), probabilities(q_logits)
    return (p * (p / q).log()).sum(1)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Per example, against labels or probabilities."""
    if target.ndim == 1:
        target = torch.eye(logits.shape[1], dtype=torch.float64)[target]
    return -(target * probabilities(logits).log()).sum(1)


def in_double(network: SmallCnn, training: bool) -> SmallCnn:
    return copy.deepcopy(network).double().train(training)


def gradients(network: SmallCnn) -> dict[str, Tensor]:
    return {name: p.grad.double() for name, p in network.named_parameters() if p.grad is not None}


def assert_descends(
    outcome: MethodLoss, student: SmallCnn, plain_student: SmallCnn, expected: Tensor
) -> None:
    """The loss has the value ``expected``, and its gradient with respect to the student."""
    torch.testing.assert_close(
        outcome.total.detach().double(), expected.detach(), rtol=1e-4, atol=1e-7
    )
    outcome.total.backward()
    expected.backward()
    found, wanted = gradients(student), gradients(plain_student)
    assert set(found) == set(wanted)
    for name, gradient in found.items():
        torch.testing.assert_close(
            gradient, wanted[name], rtol=2e-3, atol=2e-5 * max(1.0, wanted[name].abs().max().item())
        )


def assert_climbs(
    method: Method,
    images: Tensor,
    labels: Tensor,
    adversarial: Tensor,
    formula: Callable[[Tensor], Tensor],
) -> None:
    """The adversary's objective has the value and the gradient that ``formula`` has of images in double precision."""
    method.student.eval()
    objective = method.inner(method.prepare_batch(images, labels))
    x, plain = adversarial.clone().requires_grad_(), adversarial.double().requires_grad_()
    value, expected = objective(x), formula(plain)
    assert value.shape == (len(images),)
    torch.testing.assert_close(value.double(), expected, rtol=1e-3, atol=1e-6)
    (gradient,), (wanted,) = (
        torch.autograd.grad(value.sum(), x),
        torch.autograd.grad(expected.sum(), plain),
    )
    torch.testing.assert_close(
        gradient.double(), wanted, rtol=2e-3, atol=1e-4 * wanted.abs().max().item()
    )
