"""IGDM's term beside another method's."""

import pytest
import torch
from torch import Tensor

from core.distillation.methods import MethodLoss, TrainingPosition, build
from core.distillation.methods.igdm import Igdm
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.defaults import resolve_starship
from core.jobspec.training.methods import AkdSettings, ArkdSettings, IgdmSettings, RsladSettings
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


@pytest.mark.parametrize(("forward", "backward_scale"), [(1.0, 1.0), (1.0, 0.0), (0.5, 0.0)])
@pytest.mark.parametrize("settings", [ArkdSettings(), RsladSettings(), AkdSettings()], ids=str)
def test_igdm_at_images_that_were_passed_already(
    settings: ArkdSettings | RsladSettings | AkdSettings,
    forward: float,
    backward_scale: float,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    """x + d is x^ and x - 0 d is x: value and gradient are those of passes of their own."""
    plain_student = in_double(student, training=True)
    plain_teacher = in_double(teacher, training=False)
    igdm = IgdmSettings(weight=2.0, forward=forward, backward=backward_scale)
    method = build(settings, student, teacher, igdm=igdm)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    x = images.double()
    d = adversarial.double() - x
    ahead = x + forward * d
    behind = x - backward_scale * d
    teacher_change = (plain_teacher(ahead) - plain_teacher(behind)).detach()
    student_change = plain_student(ahead) - plain_student(behind)
    only_igdm = MethodLoss({"igdm": loss.terms["igdm"]})
    assert_outer_loss(
        only_igdm, student, plain_student, 2 * kl(teacher_change, student_change).mean()
    )


def test_igdm_at_1_uses_the_very_logits_of_the_method(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = build(ArkdSettings(), student, teacher, igdm=IgdmSettings(backward=0.0))
    batch = method.prepare_batch(images, labels)
    loss = method.outer(batch, adversarial)
    outputs = loss.outputs
    assert outputs.student_clean is not None
    assert outputs.student_adversarial is not None
    assert outputs.teacher_adversarial is not None
    with torch.no_grad():
        teacher_change = outputs.teacher_adversarial.logits_BK - batch.teacher.logits_BK
        student_change = outputs.student_adversarial.logits_BK - outputs.student_clean.logits_BK
        p = teacher_change.log_softmax(1)
        expected = (p.exp() * (p - student_change.log_softmax(1))).sum(1).mean()
    assert torch.equal(loss.terms["igdm"].value.detach(), expected)
