"""SCORE: robustness and accuracy reconciled by squared errors (Pang et al., ICML 2022).

B batch size, K classes.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from core.distillation.adversaries import Objective
from core.distillation.methods.method import AdversarialTrainingMethod, Batch, LossTerm, MethodLoss
from core.jobspec.training.methods import ScoreSettings


class Score(AdversarialTrainingMethod):
    settings: ScoreSettings

    def inner(self, batch: Batch) -> Objective:
        """||p(x^) - p(x)||^2, the clean prediction a constant."""
        with torch.no_grad():
            target_BK = self.student_output(batch.images_BCHW).probabilities_BK
        return lambda adversarial_BCHW: squared_error(
            self.student_output(adversarial_BCHW).probabilities_BK, target_BK
        )

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """||p(x) - y||^2 + beta ||p(x^) - p(x)||^2, the clean prediction not detached."""
        clean_BK = self.student_output(batch.images_BCHW).probabilities_BK
        adversarial_BK = self.student_output(adversarial_BCHW).probabilities_BK
        label_BK = one_hot(batch.labels_B, clean_BK.shape[1]).to(clean_BK.dtype)
        accuracy_B = squared_error(clean_BK, label_BK)
        smoothness_B = squared_error(adversarial_BK, clean_BK)
        return MethodLoss(
            {
                "accuracy": LossTerm(1.0, accuracy_B.mean()),
                "smoothness": LossTerm(self.settings.beta, smoothness_B.mean()),
            }
        )


def squared_error(p_BK: Tensor, q_BK: Tensor) -> Tensor:
    """Return ||p - q||^2 per example, [B]: summed over classes."""
    return (p_BK - q_BK).square().sum(dim=1)
