"""PGD adversarial training (Madry et al., ICLR 2018). B batch size, K classes."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.methods.method import AdversarialTrainingMethod, Batch, LossTerm, MethodLoss


class PgdAt(AdversarialTrainingMethod):
    def inner(self, batch: Batch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(s(x^), y), averaged over the batch."""
        logits_BK = self.student_output(adversarial_BCHW).logits_BK
        return MethodLoss(
            {"cross_entropy": LossTerm(1.0, cross_entropy(logits_BK, batch.labels_B))}
        )
