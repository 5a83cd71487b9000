"""TRADES (Zhang et al., ICML 2019): a robust network without a teacher."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, LossTerm, Method, MethodLoss
from core.distillation.statistics.divergences import kl
from core.jobspec.training.methods import TradesSettings as Settings


class Trades(Method):
    settings: Settings

    def inner(self, batch: Batch) -> Objective:
        """KL(p(x) || p(x^)), the clean prediction a constant."""
        with torch.no_grad():
            target_BK = self.student_output(batch.images_BCHW).logits_BK
        return lambda adversarial: kl(target_BK, self.student_output(adversarial).logits_BK)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(x, y) + beta KL(p(x) || p(x^)). The clean prediction is NOT detached: that costs robustness."""
        clean, adversarial = (
            self.student_output(batch.images_BCHW),
            self.student_output(adversarial_BCHW),
        )
        terms = {
            "cross_entropy": LossTerm(1.0, cross_entropy(clean.logits_BK, batch.labels_B)),
            "smoothness": LossTerm(
                self.settings.beta, kl(clean.logits_BK, adversarial.logits_BK).mean()
            ),
        }
        return MethodLoss(terms, {})
