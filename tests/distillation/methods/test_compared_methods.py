"""The methods that STARSHIP is compared with, each re-derived in double precision."""

import pytest
import torch
from torch import Tensor

from core.distillation.methods import TrainingPosition, build
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.resolved import ResolvedIadSettings
from core.jobspec.training import methods as spec
from tests.distillation.methods.plain import (
    assert_climbs,
    assert_descends,
    cross_entropy,
    in_double,
    kl,
    probabilities,
)

CLASSES = 4


@pytest.mark.parametrize(
    "settings",
    [spec.ArdSettings(), ResolvedIadSettings(begin=0), spec.AkdSettings()],
    ids=lambda it: it.name,
)
def test_ard_iad_and_akd_climb_the_cross_entropy_of_the_student(
    settings: spec.ArdSettings | spec.IadSettings | spec.AkdSettings,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain = in_double(student, training=False)
    assert_climbs(
        build(settings, student, teacher),
        images,
        labels,
        adversarial,
        lambda x: cross_entropy(plain(x), labels),
    )


def test_rslad_climbs_the_kl_from_the_teachers_clean_prediction(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain, target = (
        in_double(student, training=False),
        in_double(teacher, training=False)(images.double()).detach(),
    )
    method = build(spec.RsladSettings(), student, teacher)
    assert_climbs(method, images, labels, adversarial, lambda x: kl(target, plain(x)))


def test_adaad_climbs_through_teacher_and_student(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain, asked = in_double(student, training=False), in_double(teacher, training=False)
    method = build(spec.AdaAdSettings(), student, teacher)
    assert_climbs(method, images, labels, adversarial, lambda x: kl(asked(x), plain(x)))


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
    plain, asked, t = in_double(student, True), in_double(teacher, False), settings.temperature
    method = build(settings, student, teacher)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    target = asked(images.double()).detach()
    distilled = t * t * kl(target / t, plain(adversarial.double()) / t).sum() / 6 / divisor
    expected = settings.alpha * distilled
    if settings.alpha < 1:
        expected = (
            expected + (1 - settings.alpha) * cross_entropy(plain(images.double()), labels).mean()
        )
    assert_descends(outcome, student, plain, expected)


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
    plain, asked = in_double(student, True), in_double(teacher, False)
    method = build(
        ResolvedIadSettings(
            begin=2, temperature=temperature, weigh_teacher=weigh_teacher, exponent=0.5
        ),
        student,
        teacher,
    )
    outcome = method.outer(
        method.prepare_batch(images, labels, TrainingPosition(step=20, steps_per_epoch=10, epochs=5)),
        adversarial,
    )
    target, x_hat = asked(images.double()).detach(), adversarial.double()
    trust = probabilities(asked(x_hat).detach())[torch.arange(6), labels] ** 0.5
    assert 0.05 < trust.min() < trust.max() < 1
    followed = temperature**2 * kl(target / temperature, plain(x_hat) / temperature)
    first = (trust * followed if weigh_teacher else followed).mean()
    # The student's own clean prediction is not detached.
    second = ((1 - trust) * kl(plain(images.double()), plain(x_hat))).mean()
    assert outcome.metrics["trust"].item() == pytest.approx(trust.mean().item(), rel=1e-4)
    assert_descends(outcome, student, plain, first + second)


def test_before_its_time_iad_only_follows_the_teacher(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain, asked = in_double(student, True), in_double(teacher, False)
    method = build(ResolvedIadSettings(begin=2), student, teacher)
    outcome = method.outer(
        method.prepare_batch(images, labels, TrainingPosition(step=19, steps_per_epoch=10, epochs=5)),
        adversarial,
    )
    assert list(outcome.terms) == ["distillation"]
    assert_descends(
        outcome,
        student,
        plain,
        kl(asked(images.double()).detach(), plain(adversarial.double())).mean(),
    )


@pytest.mark.parametrize(
    ("settings", "clean", "divisor"),
    [
        (spec.RsladSettings(), 1 / 6, 1),
        (spec.RsladSettings(clean_weight=0.5), 0.5, 1),
        (spec.RsladSettings(reduction="mean"), 1 / 6, CLASSES),
    ],
    ids=str,
)
def test_rslad_follows_the_teachers_clean_prediction_on_both_images(
    settings: spec.RsladSettings,
    clean: float,
    divisor: int,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain, target = in_double(student, True), in_double(teacher, False)(images.double()).detach()
    method = build(settings, student, teacher)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    both = (1 - clean) * kl(target, plain(adversarial.double())) + clean * kl(
        target, plain(images.double())
    )
    assert_descends(outcome, student, plain, both.mean() / divisor)


@pytest.mark.parametrize("alpha", [0.5, 0.0, 1.0])
def test_akd_descends_the_cross_entropy_against_mixed_labels(
    alpha: float,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    plain, asked = in_double(student, True), in_double(teacher, False)
    method = build(spec.AkdSettings(alpha=alpha), student, teacher)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    target = (
        alpha * probabilities(asked(adversarial.double())).detach()
        + (1 - alpha) * torch.eye(4, dtype=torch.float64)[labels]
    )
    assert_descends(
        outcome, student, plain, cross_entropy(plain(adversarial.double()), target).mean()
    )


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
    plain, asked = in_double(student, True), in_double(teacher, False)
    method = build(settings, student, teacher)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    expected = (
        settings.alpha
        * kl(asked(adversarial.double()).detach(), plain(adversarial.double())).mean()
        / divisor
    )
    if settings.alpha < 1:
        expected = (
            expected
            + (1 - settings.alpha)
            * kl(asked(images.double()).detach(), plain(images.double())).mean()
            / divisor
        )
    assert_descends(outcome, student, plain, expected)


def test_score_takes_squared_errors_of_probabilities(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, True)
    method = build(spec.ScoreSettings(beta=2.0), student, None)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    clean, attacked = (
        probabilities(plain(images.double())),
        probabilities(plain(adversarial.double())),
    )
    natural = ((clean - torch.eye(4, dtype=torch.float64)[labels]) ** 2).sum(1).mean()
    assert_descends(outcome, student, plain, natural + 2 * ((attacked - clean) ** 2).sum(1).mean())

    fixed = in_double(student, False)
    target = probabilities(fixed(images.double())).detach()
    student.zero_grad()
    assert_climbs(
        method,
        images,
        labels,
        adversarial,
        lambda x: ((probabilities(fixed(x)) - target) ** 2).sum(1),
    )


def test_n_fgsm_training_climbs_and_descends_cross_entropy(
    student: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, True)
    method = build(spec.NFgsmAtSettings(), student, None)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    assert_descends(
        outcome, student, plain, cross_entropy(plain(adversarial.double()), labels).mean()
    )
    fixed = in_double(student, False)
    assert_climbs(method, images, labels, adversarial, lambda x: cross_entropy(fixed(x), labels))
