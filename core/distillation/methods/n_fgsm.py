"""N-FGSM adversarial training (de Jorge et al., NeurIPS 2022): cross entropy on its images."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import AdversarialTrainingMethod, Batch, MethodLoss


class NFgsmAt(AdversarialTrainingMethod):
    """PGD-AT's loss; the spec requires the N-FGSM adversary for it."""

    def inner(self, batch: Batch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(s(x^), y), averaged over the batch."""
        return self.adversarial_cross_entropy(batch, adversarial_BCHW)
