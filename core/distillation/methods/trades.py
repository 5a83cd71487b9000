"""TRADES (Zhang et al., ICML 2019): a robust network without a teacher. B batch size, K classes."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.methods.method import AdversarialTrainingMethod, Batch, LossTerm, MethodLoss
from core.distillation.statistics.divergences import kl
from core.jobspec.training.methods import TradesSettings


class Trades(AdversarialTrainingMethod):
    settings: TradesSettings

    def inner(self, batch: Batch) -> Objective:
        """KL(p(x) || p(x^)), the clean prediction a constant."""
        with torch.no_grad():
            target_BK = self.student_output(batch.images_BCHW).logits_BK
        return lambda adversarial_BCHW: kl(
            target_BK, self.student_output(adversarial_BCHW).logits_BK
        )

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(s(x), y) + beta KL(p(x) || p(x^)).

        The clean prediction is NOT detached in the second term: detaching it costs robustness.
        The authors' code computes it once more for that term: in train mode it is the same, but
        running statistics move again (``statistics_passes``).
        """
        clean_BK = self.student_output(batch.images_BCHW).logits_BK
        adversarial_BK = self.student_output(adversarial_BCHW).logits_BK
        if self.settings.statistics_passes:
            self.update_statistics(batch.images_BCHW)
        smoothness_B = kl(clean_BK, adversarial_BK)
        return MethodLoss(
            {
                "cross_entropy": LossTerm(1.0, cross_entropy(clean_BK, batch.labels_B)),
                "smoothness": LossTerm(self.settings.beta, smoothness_B.mean()),
            }
        )
