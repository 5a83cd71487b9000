"""IAD-I: Introspective Adversarial Distillation (Zhu et al., ICLR 2022)."""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, DistillationMethod, LossTerm, MethodLoss
from core.distillation.statistics.divergences import kl
from core.jobspec.resolved import ResolvedIadSettings


class Iad(DistillationMethod):
    settings: ResolvedIadSettings

    def inner(self, batch: Batch) -> Objective:
        """CE(s(x^), y)."""
        return self.cross_entropy_to_labels(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """At first T^2 KL(p_t(x; T) || p_s(x^; T)); from epoch ``begin`` on also (1 - a) KL(p_s(x) || p_s(x^)) per example.

        Trust a = p_t(y | x^)^exponent. The paper weighs the teacher's term by a, the authors' code does not; neither detaches the
        student's own clean prediction.
        """
        assert batch.teacher is not None
        it, temperature = self.settings, self.settings.temperature
        adversarial_BK = self.student_output(adversarial_BCHW).logits_BK
        teacher_B = kl(batch.teacher.logits_BK / temperature, adversarial_BK / temperature)
        if batch.position.epoch < it.begin:
            return MethodLoss({"distillation": LossTerm(temperature**2, teacher_B.mean())})
        trust_B = self.trust(adversarial_BCHW, batch.labels_B)
        introspection_B = kl(self.student_output(batch.images_BCHW).logits_BK, adversarial_BK)
        terms = {
            "distillation": LossTerm(
                temperature**2, (trust_B * teacher_B if it.weigh_teacher else teacher_B).mean()
            ),
            "introspection": LossTerm(1.0, ((1 - trust_B) * introspection_B).mean()),
        }
        return MethodLoss(terms, {"trust": trust_B.mean()})

    def trust(self, adversarial_BCHW: Tensor, labels_B: Tensor) -> Tensor:
        """The teacher's probability of the label on the adversarial image, to the power of ``exponent``, [B]."""
        likely_B = (
            self.teacher_output(adversarial_BCHW)
            .probabilities_BK.gather(1, labels_B[:, None])
            .squeeze(1)
        )
        return likely_B.pow(self.settings.exponent)
