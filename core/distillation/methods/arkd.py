"""ARKD: adversarially robust knowledge distillation, Eq. 2-4 of STARSHIP (Dong et al., ECCV 2024).

In the printed Eq. 4 the weights seem exchanged: Fig. 3a's text and the first row of Table 7 need beta on the adversarial term.
"""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.forward import NetworkOutput
from core.distillation.methods.method import Batch, DistillationMethod, LossTerm, MethodLoss
from core.distillation.statistics.divergences import kl
from core.jobspec.training.methods import ArkdSettings as Settings
from core.jobspec.training.starship import StarshipSettings


class Arkd(DistillationMethod):
    settings: Settings | StarshipSettings

    def inner(self, batch: Batch) -> Objective:
        """Eq. 2: KL(p_t(x) || p_s(x^)), the teacher's clean prediction a constant.

        Eq. 3 (adaptive): KL(p_t(x^) || p_s(x^)), climbed through both networks.
        """
        return self.kl_to_adaptive_teacher(batch) if self.settings.adaptive else self.kl_to_clean_teacher(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """Eq. 4."""
        assert batch.teacher is not None
        clean, adversarial = (
            self.student_output(batch.images_BCHW),
            self.student_output(adversarial_BCHW),
        )
        return MethodLoss(
            self.terms(batch.teacher, self.teacher_output(adversarial_BCHW), clean, adversarial), {}
        )

    def terms(
        self,
        teacher_clean: NetworkOutput,
        teacher_adversarial: NetworkOutput,
        clean: NetworkOutput,
        adversarial: NetworkOutput,
    ) -> dict[str, LossTerm]:
        """Eq. 4's two terms: (1 - beta) KL(p_t(x) || p_s(x)) + beta KL(p_t(x^) || p_s(x^)), means over the batch."""
        return {
            "arkd_clean": LossTerm(
                1 - self.settings.beta, kl(teacher_clean.logits_BK, clean.logits_BK).mean()
            ),
            "arkd_adversarial": LossTerm(
                self.settings.beta, kl(teacher_adversarial.logits_BK, adversarial.logits_BK).mean()
            ),
        }
