"""TRADES and PGD adversarial training, derived again in double precision."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.methods import Method
from core.distillation.methods.n_fgsm import NFgsmAt
from core.distillation.methods.pgd_at import PgdAt
from core.distillation.methods.score import Score
from core.distillation.methods.trades import Trades
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.training.methods import (
    NFgsmAtSettings,
    PgdAtSettings,
    ScoreSettings,
    TradesSettings,
)
from tests.distillation.methods.plain import (
    assert_inner_objective,
    assert_outer_loss,
    backward,
    cross_entropy,
    gradients,
    in_double,
    kl,
)


def greatest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max((gradient - other[name]).abs().max().item() for name, gradient in one.items())


@pytest.mark.parametrize("beta", [6.0, 0.0, 1.5])
def test_trades_loss_equals_the_plain_formula(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor, beta: float
) -> None:
    """Cross entropy of clean images + beta times the KL to the adversarial prediction."""
    plain = in_double(student, training=True)
    method = Trades(TradesSettings(beta=beta), student)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    clean = plain(images.double())
    attacked = plain(adversarial.double())
    accuracy = cross_entropy(clean, labels).sum() / 6
    smoothness = kl(clean, attacked).sum() / 6
    assert {name: term.weight for name, term in loss.terms.items()} == {
        "cross_entropy": 1.0,
        "smoothness": beta,
    }
    assert loss.terms["cross_entropy"].value.item() == pytest.approx(accuracy.item(), rel=1e-4)
    assert loss.terms["smoothness"].value.item() == pytest.approx(smoothness.item(), rel=1e-4)
    assert loss.total.item() == pytest.approx((accuracy + beta * smoothness).item(), rel=1e-4)


def test_trades_clean_target_is_not_detached_in_the_outer_step(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, training=True)
    detached = in_double(student, training=True)
    method = Trades(TradesSettings(beta=6.0), student)
    backward(method.outer(method.prepare_batch(images, labels), adversarial).total)
    for network in (plain, detached):
        clean = network(images.double())
        attacked = network(adversarial.double())
        target = clean.detach() if network is detached else clean
        backward(cross_entropy(clean, labels).mean() + 6 * kl(target, attacked).mean())
    assert greatest_difference(gradients(student), gradients(plain)) < 1e-3
    assert greatest_difference(gradients(student), gradients(detached)) > 0.1


def test_trades_clean_target_is_constant_for_the_adversary(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    student.eval()
    plain = in_double(student, training=False)
    method = Trades(TradesSettings(), student)
    objective = method.inner(method.prepare_batch(images, labels))
    value = objective(adversarial)
    target = plain(images.double())
    torch.testing.assert_close(
        value.double(), kl(target, plain(adversarial.double())), rtol=1e-4, atol=1e-6
    )

    backward(value.sum())
    backward(kl(target.detach(), plain(adversarial.double())).sum())
    assert greatest_difference(gradients(student), gradients(plain)) < 1e-3


def test_trades_adversary_has_no_gradient_at_the_clean_image(
    student: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    """So a start of noise is needed."""
    student.eval()
    method = Trades(TradesSettings(), student)
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        method.inner(method.prepare_batch(images, labels))(x).sum(), x
    )
    assert gradient.abs().max() < 1e-5


def test_pgd_at_objective_and_loss_are_cross_entropy(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    """Both are the cross entropy of adversarial images."""
    plain = in_double(student, training=True)
    method = PgdAt(PgdAtSettings(), student)
    batch = method.prepare_batch(images, labels)
    loss = method.outer(batch, adversarial)
    expected = cross_entropy(plain(adversarial.double()), labels)
    assert {name: term.weight for name, term in loss.terms.items()} == {"cross_entropy": 1.0}
    assert loss.total.item() == pytest.approx(expected.mean().item(), rel=1e-4)
    backward(loss.total)
    backward(expected.mean())
    assert greatest_difference(gradients(student), gradients(plain)) < 1e-4

    student.eval()
    objective_B = method.inner(batch)(adversarial)
    in_eval = cross_entropy(in_double(student, training=False)(adversarial.double()), labels)
    torch.testing.assert_close(objective_B.double(), in_eval, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("make_method", "passes"),
    [
        (lambda student: Trades(TradesSettings(), student), "ca"),
        (lambda student: Trades(TradesSettings(statistics_passes=True), student), "cac"),
        (lambda student: PgdAt(PgdAtSettings(), student), "a"),
        (lambda student: PgdAt(PgdAtSettings(statistics_passes=True), student), "aac"),
        (lambda student: NFgsmAt(NFgsmAtSettings(), student), "a"),
        (lambda student: Score(ScoreSettings(), student), "ca"),
    ],
)
def test_running_statistics_are_those_of_these_passes(
    student: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    make_method: Callable[[SmallCnn], Method[Any]],
    passes: str,
) -> None:
    """Passes of clean (c) and adversarial (a) images, in this order."""
    plain = in_double(student, training=True)
    method = make_method(student)
    method.outer(method.prepare_batch(images, labels), adversarial)
    for letter in passes:
        plain({"c": images, "a": adversarial}[letter].double())
    expected = dict(plain.named_buffers())
    for name, buffer in student.named_buffers():
        torch.testing.assert_close(buffer.double(), expected[name].double(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "make_method",
    [
        lambda student, passes: Trades(TradesSettings(statistics_passes=passes), student),
        lambda student, passes: PgdAt(PgdAtSettings(statistics_passes=passes), student),
    ],
)
def test_statistics_passes_change_neither_loss_nor_gradient(
    student: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    make_method: Callable[[SmallCnn, bool], Method[Any]],
) -> None:
    losses = []
    students = [copy.deepcopy(student), copy.deepcopy(student)]
    for network, passes in zip(students, (False, True), strict=True):
        method = make_method(network, passes)
        loss = method.outer(method.prepare_batch(images, labels), adversarial)
        backward(loss.total)
        losses.append(loss.total.item())
    assert losses[0] == losses[1]
    assert greatest_difference(gradients(students[0]), gradients(students[1])) == 0


def test_n_fgsm_objective_and_loss_are_cross_entropy(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, training=True)
    method = NFgsmAt(NFgsmAtSettings(), student)
    batch = method.prepare_batch(images, labels)
    expected = cross_entropy(plain(adversarial.double()), labels)
    assert_outer_loss(method.outer(batch, adversarial), student, plain, expected.mean())
    assert_inner_objective(
        method,
        images,
        labels,
        adversarial,
        lambda x: cross_entropy(in_double(student, training=False)(x), labels),
    )


@pytest.mark.parametrize(
    "make_method",
    [
        lambda student: Trades(TradesSettings(), student),
        lambda student: PgdAt(PgdAtSettings(), student),
    ],
)
def test_objective_in_eval_mode_keeps_running_statistics(
    student: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    make_method: Callable[[SmallCnn], Trades | PgdAt],
    running_statistics: Callable[[SmallCnn], dict[str, Tensor]],
) -> None:
    """The adversary's objective does not change running statistics in eval mode."""
    method = make_method(student.eval())
    before = running_statistics(student)
    method.inner(method.prepare_batch(images, labels))(adversarial)
    assert all(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())


def test_the_default_beta_of_trades_is_its_papers() -> None:
    assert TradesSettings().beta == 6.0
