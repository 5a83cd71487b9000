"""RSLAD: Robust Soft Label Adversarial Distillation (Zi et al., ICCV 2021)."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, DistillationMethod, LossTerm, MethodLoss
from core.distillation.statistics.divergences import kl, reduce_divergence
from core.jobspec.training.methods import RsladSettings as Settings


class Rslad(DistillationMethod):
    settings: Settings

    def inner(self, batch: Batch) -> Objective:
        """KL(p_t(x) || p_s(x^)), the teacher's clean prediction a constant."""
        return self.kl_to_clean_teacher(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """5/6 KL(p_t(x) || p_s(x^)) + 1/6 KL(p_t(x) || p_s(x)): the teacher's clean prediction for both."""
        assert batch.teacher is not None
        it, target_BK = self.settings, batch.teacher.logits_BK
        adversarial_B = kl(target_BK, self.student_output(adversarial_BCHW).logits_BK)
        clean_B = kl(target_BK, self.student_output(batch.images_BCHW).logits_BK)
        classes = target_BK.shape[1]
        terms = {
            "adversarial": LossTerm(
                1 - it.clean_weight, reduce_divergence(adversarial_B, it.reduction, classes=classes)
            ),
            "clean": LossTerm(it.clean_weight, reduce_divergence(clean_B, it.reduction, classes=classes)),
        }
        return MethodLoss(terms)
