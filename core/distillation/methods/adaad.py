"""AdaAD: Adaptive Adversarial Distillation (Huang et al., CVPR 2023)."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, DistillationMethod, LossTerm, MethodLoss
from core.distillation.statistics.divergences import kl, reduce_divergence
from core.jobspec.training.methods import AdaAdSettings as Settings


class AdaAd(DistillationMethod):
    settings: Settings

    def inner(self, batch: Batch) -> Objective:
        """KL(p_t(x^) || p_s(x^)), climbed through both networks."""
        return self.kl_to_adaptive_teacher(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """alpha KL(p_t(x^) || p_s(x^)) + (1 - alpha) KL(p_t(x) || p_s(x))."""
        assert batch.teacher is not None
        it, classes = self.settings, batch.teacher.logits_BK.shape[1]
        adversarial_B = kl(
            self.teacher_output(adversarial_BCHW).logits_BK,
            self.student_output(adversarial_BCHW).logits_BK,
        )
        terms = {
            "adversarial": LossTerm(it.alpha, reduce_divergence(adversarial_B, it.reduction, classes=classes))
        }
        if it.alpha < 1:
            clean_B = kl(batch.teacher.logits_BK, self.student_output(batch.images_BCHW).logits_BK)
            terms["clean"] = LossTerm(1 - it.alpha, reduce_divergence(clean_B, it.reduction, classes=classes))
        return MethodLoss(terms)
