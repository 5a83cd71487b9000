"""IGDM's term beside another method's."""

import pytest
from torch import Tensor

from core.distillation.methods import TrainingPosition, build
from core.distillation.methods.igdm import Igdm
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.defaults import resolve_starship
from core.jobspec.training.methods import ArkdSettings, RsladSettings
from core.jobspec.training.methods import IgdmSettings as Settings
from core.jobspec.training.starship import StarshipSettings
from tests.distillation.methods.plain import assert_climbs, assert_descends, in_double, kl


def test_the_change_of_logits_along_the_perturbation_is_matched_with_the_teachers(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain, asked = in_double(student, True), in_double(teacher, False)
    settings = Settings(weight=6.0, forward=0.5, backward=0.25)
    method = build(RsladSettings(clean_weight=0), student, teacher, igdm=settings)
    outcome = method.outer(
        method.prepare_batch(images, labels, TrainingPosition(step=25, steps_per_epoch=10, epochs=4)),
        adversarial,
    )
    x, d = images.double(), adversarial.double() - images.double()
    theirs = (asked(x + 0.5 * d) - asked(x - 0.25 * d)).detach()
    # In the order of the method's own passes: batch norm sees each by itself, so the order matters to nothing but the statistics.
    own = kl(asked(x).detach(), plain(x + d)).mean()
    ours = plain(x + 0.5 * d) - plain(x - 0.25 * d)
    assert outcome.terms["igdm"].weight == pytest.approx(6.0 * 3 / 4)
    assert_descends(outcome, student, plain, own + 6.0 * 3 / 4 * kl(theirs, ours).mean())


def test_the_adversary_is_the_other_methods(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain, target = in_double(student, False), in_double(teacher, False)(images.double()).detach()
    method = build(ArkdSettings(), student, teacher, igdm=Settings())
    assert isinstance(method, Igdm)
    assert_climbs(method, images, labels, adversarial, lambda x: kl(target, plain(x)))


def test_the_other_methods_terms_figures_and_heads_stay(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = build(
        resolve_starship(StarshipSettings(), student.feature_dimension),
        student,
        teacher,
        igdm=Settings(),
    )
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    assert {"arkd_clean", "arkd_adversarial", "fca", "pgm", "igdm"} <= outcome.terms.keys()
    assert "effective_rank_student" in outcome.metrics
    assert list(method.heads.parameters())
