"""The Kullback-Leibler divergence between predictions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from core.distillation.statistics.divergences import kl

some_logits = st.lists(st.floats(min_value=-20, max_value=20), min_size=4, max_size=4)


def logits(seed: int, examples: int = 5, classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p, q = 3 * torch.randn(2, examples, classes, dtype=torch.float64, generator=generator)
    return p, q


def slow_kl(p_logits: list[float], q_logits: list[float]) -> float:
    """KL of one example, class by class."""
    p_sum = sum(map(math.exp, p_logits))
    q_sum = sum(map(math.exp, q_logits))
    p = [math.exp(z) / p_sum for z in p_logits]
    q = [math.exp(z) / q_sum for z in q_logits]
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_kl_is_a_sum_over_classes_per_example() -> None:
    p, q = logits(seed=0)
    slow = [slow_kl(one, other) for one, other in zip(p.tolist(), q.tolist(), strict=True)]
    assert kl(p, q).tolist() == pytest.approx(slow, rel=1e-12)


def test_kl_by_hand_and_its_direction() -> None:
    p = torch.tensor([[0.5, 0.5]]).log()
    q = torch.tensor([[0.25, 0.75]]).log()
    # p || q: 1/2 ln(2) + 1/2 ln(2/3); q || p: 1/4 ln(1/2) + 3/4 ln(3/2).
    assert kl(p, q).item() == pytest.approx(0.5 * math.log(4 / 3), rel=1e-6)
    assert kl(q, p).item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), rel=1e-6)


def test_mean_of_kl_is_torchs_batchmean() -> None:
    """It is not the mean over the classes as well."""
    p, q = logits(seed=1)
    student_log = log_softmax(q, dim=1)
    teacher = p.softmax(dim=1)
    torch.testing.assert_close(kl(p, q).mean(), kl_div(student_log, teacher, reduction="batchmean"))
    torch.testing.assert_close(kl(p, q).sum(), kl_div(student_log, teacher, reduction="sum"))
    torch.testing.assert_close(
        kl(p, q).mean() / 4, kl_div(student_log, teacher, reduction="none").mean()
    )


def test_kl_does_not_depend_on_impossible_classes() -> None:
    p, q = logits(seed=2)
    absent = torch.full((5, 6), -1e4, dtype=torch.float64)
    torch.testing.assert_close(kl(torch.cat([p, absent], 1), torch.cat([q, absent], 1)), kl(p, q))


@given(some_logits, some_logits, st.floats(min_value=-50, max_value=50))
@settings(max_examples=100, deadline=None)
def test_kl_is_not_negative_and_ignores_a_constant(
    p: list[float], q: list[float], shift: float
) -> None:
    """It is zero between logits that differ by a constant."""
    p_logits, q_logits = (torch.tensor([z], dtype=torch.float64) for z in (p, q))
    assert kl(p_logits, q_logits).item() >= -1e-12
    assert kl(p_logits, p_logits + shift).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_kl_of_extreme_logits_is_finite_in_value_and_gradient(size: float) -> None:
    p = torch.tensor([[size, 0.0, -size]], requires_grad=True)
    q = torch.tensor([[-size, 0.0, 1.0]], requires_grad=True)
    divergence = kl(p, q)
    divergence.sum().backward()  # type: ignore[no-untyped-call]
    assert divergence.isfinite().all()
    assert p.grad is not None
    assert p.grad.isfinite().all()
    assert q.grad is not None
    assert q.grad.isfinite().all()


def test_gradients_of_kl_flow_through_both_predictions() -> None:
    p, q = (z.requires_grad_() for z in logits(seed=3))
    assert torch.autograd.gradcheck(kl, (p, q))


def test_gradient_at_second_logits_is_the_difference() -> None:
    """It is the difference of the predictions."""
    p, q = logits(seed=4)
    (gradient,) = torch.autograd.grad(kl(p, q.requires_grad_()).sum(), q)
    torch.testing.assert_close(gradient, q.softmax(dim=1) - p.softmax(dim=1))
