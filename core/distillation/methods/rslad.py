"""RSLAD: Robust Soft Label Adversarial Distillation (Zi et al., ICCV 2021).

B batch size, K classes.
"""

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
from core.jobspec.training.methods import RsladSettings


class Rslad(DistillationMethod):
    settings: RsladSettings

    def inner(self, batch: TeacherBatch) -> Objective:
        """KL(p_t(x) || p_s(x^)), the teacher's clean prediction a constant."""
        return self.kl_to_clean_teacher(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """5/6 KL(p_t(x) || p_s(x^)) + 1/6 KL(p_t(x) || p_s(x)): the clean teacher for both."""
        settings = self.settings
        target_BK = batch.teacher.logits_BK
        classes = target_BK.shape[1]
        student = self.student_output(adversarial_BCHW)
        student_clean = self.student_output(batch.images_BCHW)
        adversarial_B = kl(target_BK, student.logits_BK)
        clean_B = kl(target_BK, student_clean.logits_BK)
        adversarial = reduce_divergence(adversarial_B, settings.reduction, classes=classes)
        clean = reduce_divergence(clean_B, settings.reduction, classes=classes)
        return MethodLoss(
            {
                "adversarial": LossTerm(1 - settings.clean_weight, adversarial),
                "clean": LossTerm(settings.clean_weight, clean),
            },
            outputs=LossOutputs(student_clean, student),
        )
