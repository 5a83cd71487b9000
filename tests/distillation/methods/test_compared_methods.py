"""The methods that STARSHIP is compared with, derived again in double precision."""

import pytest
import torch
from torch import Tensor

from core.distillation.methods import TrainingPosition, build
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.resolved import ResolvedIadSettings
from core.jobspec.training import methods as spec
from tests.distillation.methods.plain import (
    assert_inner_objective,
    assert_outer_loss,
    cross_entropy,
    in_double,
    kl,
    probabilities,
)

CLASSES = 4


@pytest.mark.parametrize(
    "settings",
    [spec.ArdSettings(), ResolvedIadSettings(begin=0), spec.AkdSettings()],
    ids=lambda settings: settings.name,
)
def test_ard_iad_and_akd_maximize_cross_entropy(
    settings: spec.ArdSettings | ResolvedIadSettings | spec.AkdSettings,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain = in_double(student, training=False)
    assert_inner_objective(
        build(settings, student, teacher),
        images,
        labels,
        adversarial,
        lambda x: cross_entropy(plain(x), labels),
    )


def test_rslad_maximizes_the_kl_from_the_clean_teacher(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, training=False)
    target = in_double(teacher, training=False)(images.double()).detach()
    method = build(spec.RsladSettings(), student, teacher)
    assert_inner_objective(method, images, labels, adversarial, lambda x: kl(target, plain(x)))


def test_adaad_objective_passes_through_both_networks(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain_student = in_double(student, training=False)
    plain_teacher = in_double(teacher, training=False)
    method = build(spec.AdaAdSettings(), student, teacher)
    assert_inner_objective(
        method, images, labels, adversarial, lambda x: kl(plain_teacher(x), plain_student(x))
    )


@pytest.mark.parametrize(
    ("settings", "divisor"),
    [
        (spec.ArdSettings(), 1),
        (spec.ArdSettings(alpha=0.3, temperature=2.0), 1),
        (spec.ArdSettings(reduction="mean"), CLASSES),
    ],
    ids=str,
)
def test_ard_follows_the_teachers_clean_prediction_softened(
    settings: spec.ArdSettings,
    divisor: int,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    temperature = settings.temperature
    method = build(settings, student, teacher)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    target = plain_teacher(images.double()).detach() / temperature
    softened = kl(target, plain_student(adversarial.double()) / temperature)
    expected = settings.alpha * temperature**2 * softened.sum() / 6 / divisor
    if settings.alpha < 1:
        label_loss = cross_entropy(plain_student(images.double()), labels).mean()
        expected = expected + (1 - settings.alpha) * label_loss
    assert_outer_loss(loss, student, plain_student, expected)


@pytest.mark.parametrize("weigh_teacher", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_iad_adds_introspection_where_the_teacher_is_not_trusted(
    weigh_teacher: bool,
    temperature: float,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    settings = ResolvedIadSettings(
        begin=2, temperature=temperature, weigh_teacher=weigh_teacher, exponent=0.5
    )
    method = build(settings, student, teacher)
    position = TrainingPosition(step=20, steps_per_epoch=10, epochs=5)
    loss = method.outer(method.prepare_batch(images, labels, position), adversarial)
    target = plain_teacher(images.double()).detach()
    x_hat = adversarial.double()
    trust = probabilities(plain_teacher(x_hat).detach())[torch.arange(6), labels] ** 0.5
    assert 0.05 < trust.min() < trust.max() < 1
    softened = temperature**2 * kl(target / temperature, plain_student(x_hat) / temperature)
    distillation = (trust * softened if weigh_teacher else softened).mean()
    # The student's own clean prediction is not detached.
    introspection_kl = kl(plain_student(images.double()), plain_student(x_hat))
    introspection = ((1 - trust) * introspection_kl).mean()
    assert loss.metrics["trust"].item() == pytest.approx(trust.mean().item(), rel=1e-4)
    assert_outer_loss(loss, student, plain_student, distillation + introspection)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("weigh_teacher", [False, True])
def test_before_its_time_iad_only_follows_the_teacher(
    weigh_teacher: bool,
    temperature: float,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    """The teacher is not weighed by trust yet."""
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    settings = ResolvedIadSettings(begin=2, temperature=temperature, weigh_teacher=weigh_teacher)
    method = build(settings, student, teacher)
    position = TrainingPosition(step=19, steps_per_epoch=10, epochs=5)
    loss = method.outer(method.prepare_batch(images, labels, position), adversarial)
    assert list(loss.terms) == ["distillation"]
    target = plain_teacher(images.double()).detach() / temperature
    softened = kl(target, plain_student(adversarial.double()) / temperature)
    assert_outer_loss(loss, student, plain_student, temperature**2 * softened.mean())


@pytest.mark.parametrize(
    ("settings", "clean", "divisor"),
    [
        (spec.RsladSettings(), 1 / 6, 1),
        (spec.RsladSettings(clean_weight=0.5), 0.5, 1),
        (spec.RsladSettings(reduction="mean"), 1 / 6, CLASSES),
    ],
    ids=str,
)
def test_rslad_targets_the_clean_teacher_on_both_images(
    settings: spec.RsladSettings,
    clean: float,
    divisor: int,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    """Both terms have the teacher's clean prediction as their target."""
    plain = in_double(student, training=True)
    target = in_double(teacher, training=False)(images.double()).detach()
    method = build(settings, student, teacher)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    adversarial_kl = kl(target, plain(adversarial.double()))
    clean_kl = kl(target, plain(images.double()))
    expected = ((1 - clean) * adversarial_kl + clean * clean_kl).mean() / divisor
    assert_outer_loss(loss, student, plain, expected)


@pytest.mark.parametrize("alpha", [0.5, 0.0, 1.0])
def test_akd_minimizes_cross_entropy_to_mixed_labels(
    alpha: float,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    method = build(spec.AkdSettings(alpha=alpha), student, teacher)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    x_hat = adversarial.double()
    prediction = probabilities(plain_teacher(x_hat)).detach()
    target = alpha * prediction + (1 - alpha) * torch.eye(4, dtype=torch.float64)[labels]
    expected = cross_entropy(plain_student(x_hat), target).mean()
    assert_outer_loss(loss, student, plain_student, expected)


@pytest.mark.parametrize(
    ("settings", "divisor"),
    [
        (spec.AdaAdSettings(), 1),
        (spec.AdaAdSettings(alpha=0.4), 1),
        (spec.AdaAdSettings(reduction="mean"), CLASSES),
    ],
    ids=str,
)
def test_adaad_follows_the_teacher_where_it_is_attacked(
    settings: spec.AdaAdSettings,
    divisor: int,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    method = build(settings, student, teacher)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    x = images.double()
    x_hat = adversarial.double()
    adversarial_kl = kl(plain_teacher(x_hat).detach(), plain_student(x_hat)).mean()
    expected = settings.alpha * adversarial_kl / divisor
    if settings.alpha < 1:
        clean_kl = kl(plain_teacher(x).detach(), plain_student(x)).mean()
        expected = expected + (1 - settings.alpha) * clean_kl / divisor
    assert_outer_loss(loss, student, plain_student, expected)


def test_score_takes_squared_errors_of_probabilities(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, training=True)
    method = build(spec.ScoreSettings(beta=2.0), student, None)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    clean = probabilities(plain(images.double()))
    attacked = probabilities(plain(adversarial.double()))
    accuracy = ((clean - torch.eye(4, dtype=torch.float64)[labels]) ** 2).sum(1).mean()
    smoothness = ((attacked - clean) ** 2).sum(1).mean()
    assert_outer_loss(loss, student, plain, accuracy + 2 * smoothness)

    fixed = in_double(student, training=False)
    target = probabilities(fixed(images.double())).detach()
    student.zero_grad()
    assert_inner_objective(
        method,
        images,
        labels,
        adversarial,
        lambda x: ((probabilities(fixed(x)) - target) ** 2).sum(1),
    )


def test_n_fgsm_objective_and_loss_are_cross_entropy(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, training=True)
    method = build(spec.NFgsmAtSettings(), student, None)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    expected = cross_entropy(plain(adversarial.double()), labels).mean()
    assert_outer_loss(loss, student, plain, expected)
    fixed = in_double(student, training=False)
    assert_inner_objective(
        method, images, labels, adversarial, lambda x: cross_entropy(fixed(x), labels)
    )
