"""AdaAD: Adaptive Adversarial Distillation (Huang et al., CVPR 2023). B batch size, K classes."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import DistillationMethod, LossTerm, MethodLoss, TeacherBatch
from core.distillation.statistics.divergences import kl, reduce_divergence
from core.jobspec.training.methods import AdaAdSettings


class AdaAd(DistillationMethod):
    settings: AdaAdSettings

    def inner(self, batch: TeacherBatch) -> Objective:
        """KL(p_t(x^) || p_s(x^)), with gradients through both networks."""
        return self.kl_to_adaptive_teacher(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """alpha KL(p_t(x^) || p_s(x^)) + (1 - alpha) KL(p_t(x) || p_s(x))."""
        settings = self.settings
        teacher_BK = self.teacher_output(adversarial_BCHW).logits_BK
        adversarial_B = kl(teacher_BK, self.student_output(adversarial_BCHW).logits_BK)
        adversarial = reduce_divergence(
            adversarial_B, settings.reduction, classes=teacher_BK.shape[1]
        )
        terms = {"adversarial": LossTerm(settings.alpha, adversarial)}
        if settings.alpha < 1:
            clean_B = kl(batch.teacher.logits_BK, self.student_output(batch.images_BCHW).logits_BK)
            clean = reduce_divergence(clean_B, settings.reduction, classes=teacher_BK.shape[1])
            terms["clean"] = LossTerm(1 - settings.alpha, clean)
        return MethodLoss(terms)
