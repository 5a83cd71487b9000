"""AKD: adversarial training on labels mixed with a teacher's predictions.

Maroto, Ortiz-Jimenez and Frossard, 2022. B batch size, K classes.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from core.distillation.adversaries import Objective
from core.distillation.methods.method import (
    DistillationMethod,
    LossOutputs,
    LossTerm,
    MethodLoss,
    TeacherBatch,
)
from core.jobspec.training.methods import AkdSettings


class Akd(DistillationMethod):
    settings: AkdSettings

    def inner(self, batch: TeacherBatch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """CE of s(x^) against alpha p_t(x^) + (1 - alpha) y."""
        alpha = self.settings.alpha
        teacher = self.teacher_output(adversarial_BCHW)
        teacher_BK = teacher.probabilities_BK
        label_BK = one_hot(batch.labels_B, teacher_BK.shape[1]).to(teacher_BK.dtype)
        target_BK = alpha * teacher_BK + (1 - alpha) * label_BK
        student = self.student_output(adversarial_BCHW)
        label_loss = cross_entropy(student.logits_BK, target_BK)
        outputs = LossOutputs(student_adversarial=student, teacher_adversarial=teacher)
        return MethodLoss({"cross_entropy": LossTerm(1.0, label_loss)}, outputs=outputs)
