"""IGDM: Indirect Gradient Distillation Module, a term beside any distillation method.

Lee et al., ICLR 2025. A network's gradient along the perturbation need not be computed: it shows in
how the logits change along the perturbation. B batch size, C H W image, K classes.
"""

from dataclasses import dataclass

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.forward import NetworkOutput
from core.distillation.methods.method import (
    FIRST_STEP,
    DistillationMethod,
    LossOutputs,
    LossTerm,
    Method,
    MethodLoss,
    TeacherBatch,
    TrainingPosition,
)
from core.distillation.models.network import Classifier
from core.distillation.statistics.divergences import kl
from core.jobspec.training.methods import IgdmSettings


@dataclass(frozen=True)
class NetworkOutputs:
    """Both networks' outputs for the same images."""

    teacher: NetworkOutput
    student: NetworkOutput


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

    def transform_iterate(self, batch: TeacherBatch, iterate_BCHW: Tensor) -> Tensor:
        return self.method.transform_iterate(batch, iterate_BCHW)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """The method's loss + weight (epoch / epochs) KL(softmax(dt) || softmax(ds)).

        dt = t(x + f d) - t(x - b d) and ds = s(x + f d) - s(x - b d) are changes of logits,
        d = x^ - x, f and b the settings ``forward`` and ``backward``. Epochs count from 1 here.
        As in the authors' code, x - b d is not clipped to [0, 1]; and where x + f d or x - b d are
        images that the method's loss has already passed through a network, x^ at f = 1 and x at
        b = 0, these passes are not repeated.
        """
        loss = self.method.outer(batch, adversarial_BCHW)
        ahead = self.outputs_ahead(loss.outputs, batch, adversarial_BCHW)
        behind = self.outputs_behind(loss.outputs, batch, adversarial_BCHW)
        teacher_BK = ahead.teacher.logits_BK - behind.teacher.logits_BK
        student_BK = ahead.student.logits_BK - behind.student.logits_BK
        weight = self.settings.weight * (batch.position.epoch + 1) / batch.position.epochs
        term = LossTerm(weight, kl(teacher_BK, student_BK).mean())
        return MethodLoss({**loss.terms, "igdm": term}, loss.metrics, loss.outputs)

    def outputs_ahead(
        self, computed: LossOutputs, batch: TeacherBatch, adversarial_BCHW: Tensor
    ) -> NetworkOutputs:
        """Return teacher's and student's outputs for x + f d."""
        forward = self.settings.forward
        if forward == 1:
            return self.outputs(
                adversarial_BCHW, computed.teacher_adversarial, computed.student_adversarial
            )
        perturbation_BCHW = adversarial_BCHW - batch.images_BCHW
        return self.outputs(batch.images_BCHW + forward * perturbation_BCHW)

    def outputs_behind(
        self, computed: LossOutputs, batch: TeacherBatch, adversarial_BCHW: Tensor
    ) -> NetworkOutputs:
        """Return teacher's and student's outputs for x - b d."""
        backward = self.settings.backward
        if backward == 0:
            return self.outputs(batch.images_BCHW, batch.teacher, computed.student_clean)
        perturbation_BCHW = adversarial_BCHW - batch.images_BCHW
        return self.outputs(batch.images_BCHW - backward * perturbation_BCHW)

    def outputs(
        self,
        images_BCHW: Tensor,
        teacher: NetworkOutput | None = None,
        student: NetworkOutput | None = None,
    ) -> NetworkOutputs:
        """Run both networks on the images, except where their output is given."""
        return NetworkOutputs(
            teacher=self.method.teacher_output(images_BCHW) if teacher is None else teacher,
            student=self.student_output(images_BCHW) if student is None else student,
        )
