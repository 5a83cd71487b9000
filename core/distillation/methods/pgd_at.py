"""PGD adversarial training (Madry et al., ICLR 2018), and as Rice et al. (ICML 2020) train."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import AdversarialTrainingMethod, Batch, MethodLoss
from core.jobspec.training.methods import PgdAtSettings


class PgdAt(AdversarialTrainingMethod):
    settings: PgdAtSettings

    def inner(self, batch: Batch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE(s(x^), y), averaged over the batch.

        The code of Rice et al. runs the student twice more (``statistics_passes``): on x^ before,
        to choose between restarts of the attack, and on x afterwards, for its accuracy.
        """
        if self.settings.statistics_passes:
            self.update_statistics(adversarial_BCHW)
        loss = self.adversarial_cross_entropy(batch, adversarial_BCHW)
        if self.settings.statistics_passes:
            self.update_statistics(batch.images_BCHW)
        return loss
