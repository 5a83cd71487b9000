"""ARD: Adversarially Robust Distillation (Goldblum et al., AAAI 2020). B batch size, K classes."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective
from core.distillation.methods.method import (
    DistillationMethod,
    LossOutputs,
    LossTerm,
    MethodLoss,
    TeacherBatch,
)
from core.distillation.statistics.divergences import kl, reduce_divergence
from core.jobspec.training.methods import ArdSettings


class Ard(DistillationMethod):
    settings: ArdSettings

    def inner(self, batch: TeacherBatch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """alpha T^2 KL(p_t(x; T) || p_s(x^; T)) + (1 - alpha) CE(s(x), y).

        p(; T) = softmax(logits / T). The student sees the clean images last, as in the authors'
        code.
        """
        settings = self.settings
        temperature = settings.temperature
        student = self.student_output(adversarial_BCHW)
        student_BK = student.logits_BK
        softened_B = kl(batch.teacher.logits_BK / temperature, student_BK / temperature)
        softened = reduce_divergence(softened_B, settings.reduction, classes=student_BK.shape[1])
        terms = {"distillation": LossTerm(settings.alpha * temperature**2, softened)}
        student_clean = None
        if settings.alpha < 1:
            student_clean = self.student_output(batch.images_BCHW)
            label_loss = cross_entropy(student_clean.logits_BK, batch.labels_B)
            terms["cross_entropy"] = LossTerm(1 - settings.alpha, label_loss)
        elif settings.statistics_passes:
            self.update_statistics(batch.images_BCHW)
        return MethodLoss(terms, outputs=LossOutputs(student_clean, student))
