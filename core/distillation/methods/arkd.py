"""ARKD: adversarially robust knowledge distillation, Eq. 2-4 of STARSHIP (Dong et al., ECCV 2024).

In the printed Eq. 4 the weights seem to be exchanged: the text of Fig. 3a and the first row of
Table 7 need beta on the adversarial term.
"""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import (
    DistillationMethod,
    LossOutputs,
    LossTerm,
    MethodLoss,
    OutputPair,
    TeacherBatch,
)
from core.distillation.statistics.divergences import kl
from core.jobspec.training.methods import ArkdSettings
from core.jobspec.training.starship import StarshipSettings


class Arkd(DistillationMethod):
    settings: ArkdSettings | StarshipSettings

    def inner(self, batch: TeacherBatch) -> Objective:
        """Eq. 2: KL(p_t(x) || p_s(x^)), the teacher's clean prediction a constant.

        Eq. 3 (adaptive): KL(p_t(x^) || p_s(x^)), with gradients through both networks.
        """
        if self.settings.adaptive:
            return self.kl_to_adaptive_teacher(batch)
        return self.kl_to_clean_teacher(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """Eq. 4: see ``terms``."""
        student = OutputPair(
            self.student_output(batch.images_BCHW), self.student_output(adversarial_BCHW)
        )
        teacher = OutputPair(batch.teacher, self.teacher_output(adversarial_BCHW))
        outputs = LossOutputs(student.clean, student.adversarial, teacher.adversarial)
        return MethodLoss(self.terms(teacher, student), outputs=outputs)

    def terms(self, teacher: OutputPair, student: OutputPair) -> dict[str, LossTerm]:
        """Eq. 4: (1 - beta) KL(p_t(x) || p_s(x)) + beta KL(p_t(x^) || p_s(x^)).

        Each term is a mean over the batch.
        """
        beta = self.settings.beta
        clean_B = kl(teacher.clean.logits_BK, student.clean.logits_BK)
        adversarial_B = kl(teacher.adversarial.logits_BK, student.adversarial.logits_BK)
        return {
            "arkd_clean": LossTerm(1 - beta, clean_B.mean()),
            "arkd_adversarial": LossTerm(beta, adversarial_B.mean()),
        }
