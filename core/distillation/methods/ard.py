"""ARD: Adversarially Robust Distillation (Goldblum et al., AAAI 2020)."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, DistillationMethod, LossTerm, MethodLoss
from core.distillation.statistics.divergences import kl, reduce_divergence
from core.jobspec.training.methods import ArdSettings as Settings


class Ard(DistillationMethod):
    settings: Settings

    def inner(self, batch: Batch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """alpha T^2 KL(p_t(x; T) || p_s(x^; T)) + (1 - alpha) CE(s(x), y), where p(; T) = softmax(logits / T)."""
        assert batch.teacher is not None
        it, temperature = self.settings, self.settings.temperature
        adversarial = self.student_output(adversarial_BCHW)
        softened_B = kl(batch.teacher.logits_BK / temperature, adversarial.logits_BK / temperature)
        terms = {
            "distillation": LossTerm(
                it.alpha * temperature**2,
                reduce_divergence(softened_B, it.reduction, classes=adversarial.logits_BK.shape[1]),
            )
        }
        if it.alpha < 1:
            clean_BK = self.student_output(batch.images_BCHW).logits_BK
            terms["cross_entropy"] = LossTerm(1 - it.alpha, cross_entropy(clean_BK, batch.labels_B))
        return MethodLoss(terms)
