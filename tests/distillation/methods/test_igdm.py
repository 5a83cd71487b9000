"""IGDM's term beside another method's."""

import pytest
from torch import Tensor

from core.distillation.methods import TrainingPosition, build
from core.distillation.methods.igdm import Igdm
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.defaults import resolve_starship
from core.jobspec.training.methods import ArkdSettings, IgdmSettings, RsladSettings
from core.jobspec.training.starship import StarshipSettings
from tests.distillation.methods.plain import (
    assert_inner_objective,
    assert_outer_loss,
    in_double,
    kl,
)


def test_igdm_matches_the_change_of_logits(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    """The student's change of logits along the perturbation is matched with the teacher's."""
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    settings = IgdmSettings(weight=6.0, forward=0.5, backward=0.25)
    method = build(RsladSettings(clean_weight=0), student, teacher, igdm=settings)
    position = TrainingPosition(step=25, steps_per_epoch=10, epochs=4)
    loss = method.outer(method.prepare_batch(images, labels, position), adversarial)
    x = images.double()
    d = adversarial.double() - x
    teacher_change = (plain_teacher(x + 0.5 * d) - plain_teacher(x - 0.25 * d)).detach()
    # In the order of the method's own passes, which matters to the running statistics alone.
    rslad = kl(plain_teacher(x).detach(), plain_student(x + d)).mean()
    student_change = plain_student(x + 0.5 * d) - plain_student(x - 0.25 * d)
    igdm = kl(teacher_change, student_change).mean()
    assert loss.terms["igdm"].weight == pytest.approx(6.0 * 3 / 4)
    assert_outer_loss(loss, student, plain_student, rslad + 6.0 * 3 / 4 * igdm)


def test_the_adversary_is_the_other_methods(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(student, training=False)
    target = in_double(teacher, training=False)(images.double()).detach()
    method = build(ArkdSettings(), student, teacher, igdm=IgdmSettings())
    assert isinstance(method, Igdm)
    assert_inner_objective(method, images, labels, adversarial, lambda x: kl(target, plain(x)))


def test_the_other_methods_terms_metrics_and_heads_stay(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = build(
        resolve_starship(StarshipSettings(), student.feature_dimension),
        student,
        teacher,
        igdm=IgdmSettings(),
    )
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    assert {"arkd_clean", "arkd_adversarial", "fca", "pgm", "igdm"} <= loss.terms.keys()
    assert "effective_rank_student" in loss.metrics
    assert list(method.heads.parameters())
