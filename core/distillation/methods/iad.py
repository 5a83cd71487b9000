"""IAD-I: Introspective Adversarial Distillation (Zhu et al., ICLR 2022).

B batch size, K classes.
"""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.forward import NetworkOutput
from core.distillation.methods.method import (
    DistillationMethod,
    LossOutputs,
    LossTerm,
    MethodLoss,
    TeacherBatch,
)
from core.distillation.statistics.divergences import kl
from core.jobspec.resolved import ResolvedIadSettings


class Iad(DistillationMethod):
    settings: ResolvedIadSettings

    def inner(self, batch: TeacherBatch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """T^2 KL(p_t(x; T) || p_s(x^; T)), and from epoch ``begin`` on introspection.

        Introspection is (1 - a) KL(p_s(x) || p_s(x^)) per example, with the trust
        a = p_t(y | x^)^exponent. The paper weighs the teacher's term by a, too (``weigh_teacher``);
        the authors' code does not. Neither detaches the student's own clean prediction.
        """
        temperature = self.settings.temperature
        student = self.student_output(adversarial_BCHW)
        if self.settings.statistics_passes:
            self.update_statistics(adversarial_BCHW)
        teacher_B = kl(batch.teacher.logits_BK / temperature, student.logits_BK / temperature)
        if batch.position.epoch < self.settings.begin:
            terms = {"distillation": LossTerm(temperature**2, teacher_B.mean())}
            loss = MethodLoss(terms, outputs=LossOutputs(student_adversarial=student))
        else:
            loss = self.introspective_loss(batch, adversarial_BCHW, student, teacher_B)
        if self.settings.statistics_passes:
            self.update_statistics(batch.images_BCHW)
        return loss

    def introspective_loss(
        self,
        batch: TeacherBatch,
        adversarial_BCHW: Tensor,
        student: NetworkOutput,
        teacher_B: Tensor,
    ) -> MethodLoss:
        """Return the loss from epoch ``begin`` on; ``teacher_B`` is the teacher's KL per example.

        ``student`` is the student's output for the adversarial images.
        """
        settings = self.settings
        teacher = self.teacher_output(adversarial_BCHW)
        trust_B = self.trust(teacher, batch.labels_B)
        student_clean = self.student_output(batch.images_BCHW)
        introspection_B = kl(student_clean.logits_BK, student.logits_BK)
        if settings.weigh_teacher:
            teacher_B = trust_B * teacher_B
        terms = {
            "distillation": LossTerm(settings.temperature**2, teacher_B.mean()),
            "introspection": LossTerm(1.0, ((1 - trust_B) * introspection_B).mean()),
        }
        outputs = LossOutputs(student_clean, student, teacher)
        return MethodLoss(terms, {"trust": trust_B.mean()}, outputs)

    def trust(self, teacher: NetworkOutput, labels_B: Tensor) -> Tensor:
        """Return p_t(y | x^)^exponent, [B] in [0, 1]: how far the teacher is right under attack.

        ``teacher`` is the teacher's output for the adversarial images.
        """
        label_probability_B = teacher.probabilities_BK.gather(1, labels_B[:, None]).squeeze(1)
        return label_probability_B.pow(self.settings.exponent)
