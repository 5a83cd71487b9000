"""IGDM: Indirect Gradient Distillation Module, a term beside any distillation method.

Lee et al., ICLR 2025. A network's gradient along the perturbation need not be computed: it shows in
how the logits change along the perturbation. B batch size, C H W image, K classes.
"""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import (
    FIRST_STEP,
    DistillationMethod,
    LossTerm,
    Method,
    MethodLoss,
    TeacherBatch,
    TrainingPosition,
)
from core.distillation.models.network import Classifier
from core.distillation.statistics.divergences import kl
from core.jobspec.training.methods import IgdmSettings


class Igdm(Method[TeacherBatch]):
    """A distillation method with one more term."""

    settings: IgdmSettings

    def __init__(self, settings: IgdmSettings, method: DistillationMethod) -> None:
        super().__init__(settings, method.student, method.precision)
        self.method = method
        self.heads = method.heads

    @property
    def networks(self) -> list[Classifier]:
        return self.method.networks

    def prepare_batch(
        self, images_BCHW: Tensor, labels_B: Tensor, position: TrainingPosition = FIRST_STEP
    ) -> TeacherBatch:
        return self.method.prepare_batch(images_BCHW, labels_B, position)

    def inner(self, batch: TeacherBatch) -> Objective:
        """The objective of the method that IGDM stands beside."""
        return self.method.inner(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """The method's loss + weight (epoch / epochs) KL(softmax(dt) || softmax(ds)).

        dt = t(x + f d) - t(x - b d) and ds = s(x + f d) - s(x - b d) are changes of logits,
        d = x^ - x, f and b the settings ``forward`` and ``backward``. Epochs count from 1 here.
        As in the authors' code, x - b d is not clipped to [0, 1].
        """
        loss = self.method.outer(batch, adversarial_BCHW)
        settings = self.settings
        perturbation_BCHW = adversarial_BCHW - batch.images_BCHW
        ahead_BCHW = batch.images_BCHW + settings.forward * perturbation_BCHW
        behind_BCHW = batch.images_BCHW - settings.backward * perturbation_BCHW
        teacher_BK = (
            self.method.teacher_output(ahead_BCHW).logits_BK
            - self.method.teacher_output(behind_BCHW).logits_BK
        )
        student_BK = (
            self.student_output(ahead_BCHW).logits_BK - self.student_output(behind_BCHW).logits_BK
        )
        weight = settings.weight * (batch.position.epoch + 1) / batch.position.epochs
        term = LossTerm(weight, kl(teacher_BK, student_BK).mean())
        return MethodLoss({**loss.terms, "igdm": term}, loss.metrics)
