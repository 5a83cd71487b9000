"""AdaAD: Adaptive Adversarial Distillation (Huang et al., CVPR 2023). B batch size, K classes."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import (
    DistillationMethod,
    LossOutputs,
    LossTerm,
    MethodLoss,
    TeacherBatch,
)
from core.distillation.statistics.divergences import kl, reduce_divergence
from core.jobspec.training.methods import AdaAdSettings


class AdaAd(DistillationMethod):
    settings: AdaAdSettings

    def inner(self, batch: TeacherBatch) -> Objective:
        """KL(p_t(x^) || p_s(x^)), with gradients through both networks."""
        return self.kl_to_adaptive_teacher(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """alpha KL(p_t(x^) || p_s(x^)) + (1 - alpha) KL(p_t(x) || p_s(x)).

        The student sees the clean images first, as in the authors' code.
        """
        settings = self.settings
        classes = batch.teacher.logits_BK.shape[1]
        terms: dict[str, LossTerm] = {}
        student_clean = None
        if settings.alpha < 1:
            student_clean = self.student_output(batch.images_BCHW)
            clean_B = kl(batch.teacher.logits_BK, student_clean.logits_BK)
            clean = reduce_divergence(clean_B, settings.reduction, classes=classes)
            terms["clean"] = LossTerm(1 - settings.alpha, clean)
        elif settings.statistics_passes:
            self.update_statistics(batch.images_BCHW)
        teacher = self.teacher_output(adversarial_BCHW)
        student = self.student_output(adversarial_BCHW)
        adversarial_B = kl(teacher.logits_BK, student.logits_BK)
        adversarial = reduce_divergence(adversarial_B, settings.reduction, classes=classes)
        terms["adversarial"] = LossTerm(settings.alpha, adversarial)
        return MethodLoss(terms, outputs=LossOutputs(student_clean, student, teacher))
