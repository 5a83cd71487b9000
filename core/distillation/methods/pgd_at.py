"""PGD adversarial training (Madry et al., ICLR 2018)."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, Method, Outcome, Term
from core.distillation.models.network import Classifier
from core.distillation.views import Precision
from core.spec.method import PgdAt as Settings


class PgdAt(Method):
    def __init__(self, settings: Settings, student: Classifier, precision: Precision = "fp32") -> None:
        super().__init__(student, precision)

    def inner(self, batch: Batch) -> Objective:
        """CE(x^, y)."""
        return lambda adversarial: cross_entropy(self.see(adversarial).logits_BK, batch.labels_B, reduction="none")

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> Outcome:
        """CE(x^, y)."""
        logits_BK = self.see(adversarial_BCHW).logits_BK
        return Outcome({"cross_entropy": Term(1.0, cross_entropy(logits_BK, batch.labels_B))}, {})
