"""ARKD, Eq. 2-4, derived again in double precision."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.distillation.adversaries import run_adversary
from core.distillation.methods.arkd import Arkd
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.network_modes import network_mode
from core.jobspec.training.adversary import PgdAdversarySettings
from core.jobspec.training.methods import ArkdSettings
from tests.distillation.methods.plain import backward, gradients, in_double, kl


@pytest.mark.parametrize("beta", [0.8, 0.0, 1.0, 0.3])
def test_eq_4_has_beta_on_the_adversarial_term(
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    beta: float,
) -> None:
    method = Arkd(ArkdSettings(beta=beta), student, teacher)
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)

    x = images.double()
    x_hat = adversarial.double()
    clean = kl(plain_teacher(x), plain_student(x)).sum() / 6
    attacked = kl(plain_teacher(x_hat), plain_student(x_hat)).sum() / 6
    assert clean.item() != pytest.approx(attacked.item(), rel=0.05)
    assert list(loss.terms) == ["arkd_clean", "arkd_adversarial"]
    assert loss.terms["arkd_clean"].weight == pytest.approx(1 - beta)
    assert loss.terms["arkd_adversarial"].weight == pytest.approx(beta)
    assert loss.terms["arkd_clean"].value.item() == pytest.approx(clean.item(), rel=1e-4)
    assert loss.terms["arkd_adversarial"].value.item() == pytest.approx(attacked.item(), rel=1e-4)
    total = (1 - beta) * clean + beta * attacked
    assert loss.total.item() == pytest.approx(total.item(), rel=1e-4)

    backward(loss.total)
    backward(total)
    expected = gradients(plain_student)
    assert set(gradients(student)) == set(expected)
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, expected[name], rtol=2e-3, atol=1e-5)


def test_the_default_beta_is_the_papers() -> None:
    assert ArkdSettings().beta == 0.8
    assert ArkdSettings().adaptive is False


def test_eq_2_is_the_kl_from_the_teachers_clean_prediction(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    student.eval()
    method = Arkd(ArkdSettings(), student, teacher)
    objective = method.inner(method.prepare_batch(images, labels))
    x_hat = adversarial.clone().requires_grad_()
    value = objective(x_hat)
    (gradient,) = torch.autograd.grad(value.sum(), x_hat)

    plain_student = in_double(student, training=False)
    plain_teacher = in_double(teacher, training=False)
    plain = adversarial.double().requires_grad_()
    expected = kl(plain_teacher(images.double()).detach(), plain_student(plain))
    (expected_gradient,) = torch.autograd.grad(expected.sum(), plain)
    assert value.shape == (6,)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-3, atol=1e-5)


def test_eq_3_has_gradients_through_both_networks(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    student.eval()
    method = Arkd(ArkdSettings(adaptive=True), student, teacher)
    objective = method.inner(method.prepare_batch(images, labels))
    x_hat = adversarial.clone().requires_grad_()
    value = objective(x_hat)
    (gradient,) = torch.autograd.grad(value.sum(), x_hat)

    plain_student = in_double(student, training=False)
    plain_teacher = in_double(teacher, training=False)
    plain = adversarial.double().requires_grad_()
    expected = kl(plain_teacher(plain), plain_student(plain))
    (through_both,) = torch.autograd.grad(expected.sum(), plain, retain_graph=True)
    (through_student,) = torch.autograd.grad(
        kl(plain_teacher(plain).detach(), plain_student(plain)).sum(), plain
    )
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient.double(), through_both, rtol=1e-3, atol=1e-5)
    assert (through_both - through_student).abs().max() > 0.01


@pytest.mark.parametrize("adaptive", [False, True])
def test_adversary_changes_no_gradient_and_no_running_statistics(
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    labels: Tensor,
    adaptive: bool,
    running_statistics: Callable[[SmallCnn], dict[str, Tensor]],
) -> None:
    """The attack leaves no gradient on any parameter and no trace in running statistics."""
    method = Arkd(ArkdSettings(adaptive=adaptive), student.train(), teacher)
    before = {network: running_statistics(network) for network in (student, teacher)}
    with network_mode(student, "eval"):
        attacked = run_adversary(
            PgdAdversarySettings(radius=0.1, step_size=0.05, steps=3),
            method.inner(method.prepare_batch(images, labels)),
            images,
            seeded(),
        )
    assert student.training
    assert not teacher.training
    for network, statistics in before.items():
        assert all(parameter.grad is None for parameter in network.parameters())
        buffers = dict(network.named_buffers())
        assert all(torch.equal(buffer, statistics[name]) for name, buffer in buffers.items())
    assert not attacked.requires_grad
    objective = method.inner(method.prepare_batch(images, labels))
    with network_mode(student, "eval"):
        assert objective(attacked).sum() > objective(images).sum()


def test_the_adversaries_of_eq_2_and_eq_3_differ(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    attacked = []
    student.eval()
    for adaptive in (False, True):
        method = Arkd(ArkdSettings(adaptive=adaptive), student, teacher)
        attacked.append(
            run_adversary(
                PgdAdversarySettings(radius=0.1, step_size=0.05, steps=3),
                method.inner(method.prepare_batch(images, labels)),
                images,
                seeded(),
            )
        )
    assert (attacked[0] - attacked[1]).abs().max() > 0.05


@pytest.mark.parametrize("adaptive", [False, True])
def test_no_gradient_reaches_the_teacher(
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    adaptive: bool,
) -> None:
    method = Arkd(ArkdSettings(adaptive=adaptive), student, teacher)
    backward(method.outer(method.prepare_batch(images, labels), adversarial).total)
    assert all(
        parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters()
    )
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_teacher_is_in_eval_mode_with_fixed_running_statistics(
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    running_statistics: Callable[[SmallCnn], dict[str, Tensor]],
) -> None:
    """The method puts the teacher into eval mode; its running statistics do not change."""
    before = running_statistics(teacher)
    method = Arkd(ArkdSettings(), student, teacher.train())
    method.outer(method.prepare_batch(images, labels), adversarial)
    assert not teacher.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in teacher.named_buffers())


def test_outer_step_passes_clean_then_adversarial_images(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    """Two passes in this order: batch norm takes the statistics of each batch separately."""
    method = Arkd(ArkdSettings(), student, teacher)
    assert student.bn1.running_mean is not None
    assert student.bn1.num_batches_tracked is not None
    running = student.bn1.running_mean.clone()
    for batch in (images, adversarial):
        running = 0.9 * running + 0.1 * student.conv1(batch).mean(dim=(0, 2, 3))
    method.outer(method.prepare_batch(images, labels), adversarial)
    torch.testing.assert_close(student.bn1.running_mean, running)
    assert student.bn1.num_batches_tracked.item() == 2


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
