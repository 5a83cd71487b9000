"""TRADES and PGD adversarial training, re-derived in double precision."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.distillation.methods.pgd_at import PgdAt
from core.distillation.methods.trades import Trades
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.training.methods import PgdAtSettings, TradesSettings
from tests.distillation.methods.plain import cross_entropy, gradients, in_double, kl


def farthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max((gradient - other[name]).abs().max().item() for name, gradient in one.items())


@pytest.mark.parametrize("beta", [6.0, 0.0, 1.5])
def test_trades_descends_cross_entropy_of_clean_images_and_beta_times_the_kl_to_adversarial_ones(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor, beta: float
) -> None:
    plain = in_double(student, training=True)
    method = Trades(TradesSettings(beta=beta), student)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    clean, attacked = plain(images.double()), plain(adversarial.double())
    accuracy, smoothness = cross_entropy(clean, labels).sum() / 6, kl(clean, attacked).sum() / 6
    assert {name: term.weight for name, term in outcome.terms.items()} == {
        "cross_entropy": 1.0,
        "smoothness": beta,
    }
    assert outcome.terms["cross_entropy"].value.item() == pytest.approx(accuracy.item(), rel=1e-4)
    assert outcome.terms["smoothness"].value.item() == pytest.approx(smoothness.item(), rel=1e-4)
    assert outcome.total.item() == pytest.approx((accuracy + beta * smoothness).item(), rel=1e-4)


def test_the_clean_target_of_trades_is_not_detached_in_the_outer_step(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain, detached = in_double(student, training=True), in_double(student, training=True)
    method = Trades(TradesSettings(beta=6.0), student)
    method.outer(method.prepare_batch(images, labels), adversarial).total.backward()
    for network, target in ((plain, lambda z: z), (detached, Tensor.detach)):
        clean, attacked = network(images.double()), network(adversarial.double())
        (cross_entropy(clean, labels).mean() + 6 * kl(target(clean), attacked).mean()).backward()
    assert farthest(gradients(student), gradients(plain)) < 1e-3
    assert farthest(gradients(student), gradients(detached)) > 0.1


def test_the_clean_target_of_trades_is_a_constant_while_the_adversary_climbs(
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

    value.sum().backward()
    kl(target.detach(), plain(adversarial.double())).sum().backward()
    assert farthest(gradients(student), gradients(plain)) < 1e-3


def test_the_gradient_of_trades_adversary_is_zero_at_the_clean_image(
    student: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    # So a start of noise is needed.
    student.eval()
    method = Trades(TradesSettings(), student)
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(method.inner(method.prepare_batch(images, labels))(x).sum(), x)
    assert gradient.abs().max() < 1e-5


def test_pgd_at_climbs_and_descends_the_cross_entropy_of_adversarial_images(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, training=True)
    method = PgdAt(PgdAtSettings(), student)
    batch = method.prepare_batch(images, labels)
    outcome = method.outer(batch, adversarial)
    expected = cross_entropy(plain(adversarial.double()), labels)
    assert {name: term.weight for name, term in outcome.terms.items()} == {"cross_entropy": 1.0}
    assert outcome.total.item() == pytest.approx(expected.mean().item(), rel=1e-4)
    outcome.total.backward()
    expected.mean().backward()
    assert farthest(gradients(student), gradients(plain)) < 1e-4

    student.eval()
    climbed = method.inner(batch)(adversarial)
    in_eval = cross_entropy(in_double(student, training=False)(adversarial.double()), labels)
    torch.testing.assert_close(climbed.double(), in_eval, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda s: Trades(TradesSettings(), s), lambda s: PgdAt(PgdAtSettings(), s)]
)
def test_in_eval_mode_the_adversarys_objective_leaves_running_statistics_as_they_are(
    student: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    make: Callable[[SmallCnn], Trades | PgdAt],
    running_statistics: Callable[[SmallCnn], dict[str, Tensor]],
) -> None:
    method, before = make(student.eval()), running_statistics(student)
    method.inner(method.prepare_batch(images, labels))(adversarial)
    assert all(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())


def test_the_default_beta_of_trades_is_its_papers() -> None:
    assert TradesSettings().beta == 6.0
