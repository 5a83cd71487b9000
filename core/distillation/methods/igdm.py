"""IGDM: Indirect Gradient Distillation Module (Lee et al., ICLR 2025), beside any distillation method.

A network's gradient along the perturbation is seen, without computing it, in how its logits change along it.
"""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import (
    Batch,
    DistillationMethod,
    LossTerm,
    Method,
    MethodLoss,
    TrainingPosition,
)
from core.distillation.models.network import Classifier
from core.distillation.statistics.divergences import kl
from core.jobspec.training.methods import IgdmSettings as Settings


class Igdm(Method):
    """Another method, with one more term."""

    settings: Settings

    def __init__(self, settings: Settings, method: DistillationMethod) -> None:
        super().__init__(settings, method.student, method.precision)
        self.method, self.heads = method, method.heads

    @property
    def networks(self) -> list[Classifier]:
        return self.method.networks

    def prepare_batch(self, images_BCHW: Tensor, labels_B: Tensor, when: TrainingPosition | None = None) -> Batch:
        return self.method.prepare_batch(images_BCHW, labels_B, when)

    def inner(self, batch: Batch) -> Objective:
        return self.method.inner(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """The other's, + weight (epoch / epochs) KL(softmax(t(x + d) - t(x - d)) || softmax(s(x + d) - s(x - d))), d = x^ - x.

        Epochs count from 1 here. As in the authors' code x - d is not clipped to [0, 1].
        """
        outcome = self.method.outer(batch, adversarial_BCHW)
        perturbation = adversarial_BCHW - batch.images_BCHW
        ahead_BCHW = batch.images_BCHW + self.settings.forward * perturbation
        behind_BCHW = batch.images_BCHW - self.settings.backward * perturbation
        teacher_BK = (
            self.method.teacher_output(ahead_BCHW).logits_BK
            - self.method.teacher_output(behind_BCHW).logits_BK
        )
        student_BK = (
            self.student_output(ahead_BCHW).logits_BK - self.student_output(behind_BCHW).logits_BK
        )
        weight = self.settings.weight * (batch.position.epoch + 1) / batch.position.epochs
        return MethodLoss(
            {**outcome.terms, "igdm": LossTerm(weight, kl(teacher_BK, student_BK).mean())},
            outcome.metrics,
        )
