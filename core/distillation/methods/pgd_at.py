"""PGD adversarial training (Madry et al., ICLR 2018)."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, LossTerm, Method, MethodLoss
from core.jobspec.training.methods import PgdAtSettings as Settings


class PgdAt(Method):
    settings: Settings

    def inner(self, batch: Batch) -> Objective:
        """CE(x^, y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(x^, y)."""
        logits_BK = self.student_output(adversarial_BCHW).logits_BK
        return MethodLoss({"cross_entropy": LossTerm(1.0, cross_entropy(logits_BK, batch.labels_B))}, {})
