"""AdaAD: Adaptive Adversarial Distillation (Huang et al., CVPR 2023)."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, Outcome, Term, WithTeacher
from core.distillation.statistics.divergences import kl, reduced
from core.jobspec.training.methods import AdaAdSettings as Settings


class AdaAd(WithTeacher):
    settings: Settings

    def inner(self, batch: Batch) -> Objective:
        """KL(p_t(x^) || p_s(x^)), climbed through both networks."""
        return self.apart(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> Outcome:
        """alpha KL(p_t(x^) || p_s(x^)) + (1 - alpha) KL(p_t(x) || p_s(x))."""
        assert batch.teacher is not None
        it, classes = self.settings, batch.teacher.logits_BK.shape[1]
        adversarial_B = kl(
            self.teacher_output(adversarial_BCHW).logits_BK,
            self.student_output(adversarial_BCHW).logits_BK,
        )
        terms = {
            "adversarial": Term(it.alpha, reduced(adversarial_B, it.reduction, classes=classes))
        }
        if it.alpha < 1:
            clean_B = kl(batch.teacher.logits_BK, self.student_output(batch.images_BCHW).logits_BK)
            terms["clean"] = Term(1 - it.alpha, reduced(clean_B, it.reduction, classes=classes))
        return Outcome(terms)
