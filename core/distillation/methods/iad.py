"""IAD-I: Introspective Adversarial Distillation (Zhu et al., ICLR 2022).

B batch size, K classes.
"""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import DistillationMethod, LossTerm, MethodLoss, TeacherBatch
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
        settings = self.settings
        temperature = settings.temperature
        student_BK = self.student_output(adversarial_BCHW).logits_BK
        teacher_B = kl(batch.teacher.logits_BK / temperature, student_BK / temperature)
        if batch.position.epoch < settings.begin:
            return MethodLoss({"distillation": LossTerm(temperature**2, teacher_B.mean())})
        trust_B = self.trust(adversarial_BCHW, batch.labels_B)
        introspection_B = kl(self.student_output(batch.images_BCHW).logits_BK, student_BK)
        if settings.weigh_teacher:
            teacher_B = trust_B * teacher_B
        terms = {
            "distillation": LossTerm(temperature**2, teacher_B.mean()),
            "introspection": LossTerm(1.0, ((1 - trust_B) * introspection_B).mean()),
        }
        return MethodLoss(terms, {"trust": trust_B.mean()})

    def trust(self, adversarial_BCHW: Tensor, labels_B: Tensor) -> Tensor:
        """Return p_t(y | x^)^exponent, [B] in [0, 1]: how far the teacher is right under attack."""
        teacher_BK = self.teacher_output(adversarial_BCHW).probabilities_BK
        label_probability_B = teacher_BK.gather(1, labels_B[:, None]).squeeze(1)
        return label_probability_B.pow(self.settings.exponent)
