"""ARKD: adversarially robust knowledge distillation, Eq. 2-4 of STARSHIP (Dong et al., ECCV 2024).

In the printed Eq. 4 the weights seem exchanged: Fig. 3a's text and the first row of Table 7 need beta on the adversarial term.
"""

from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.methods.method import Batch, Outcome, Term, WithTeacher
from core.distillation.models.network import Classifier
from core.distillation.statistics.divergences import kl
from core.distillation.views import Precision, View, view
from core.spec.method import Arkd as Settings
from core.spec.starship import Starship as StarshipSettings


class Arkd(WithTeacher):
    def __init__(
        self, settings: Settings | StarshipSettings, student: Classifier, teacher: Classifier, precision: Precision = "fp32"
    ) -> None:
        super().__init__(student, teacher, precision)
        self.beta = settings.beta
        self.adaptive = settings.adaptive

    def inner(self, batch: Batch) -> Objective:
        """Eq. 2: KL(p_t(x) || p_s(x^)), the teacher's clean prediction a constant.

        Eq. 3 (adaptive): KL(p_t(x^) || p_s(x^)), climbed through both networks.
        """
        if self.adaptive:
            return lambda adversarial: kl(
                view(self.teacher, adversarial, self.precision).logits_BK, self.see(adversarial).logits_BK
            )
        assert batch.teacher is not None
        target_BK = batch.teacher.logits_BK
        return lambda adversarial: kl(target_BK, self.see(adversarial).logits_BK)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> Outcome:
        """Eq. 4."""
        assert batch.teacher is not None
        clean, adversarial = self.see(batch.images_BCHW), self.see(adversarial_BCHW)
        return Outcome(self.terms(batch.teacher, self.ask(adversarial_BCHW), clean, adversarial), {})

    def terms(self, teacher_clean: View, teacher_adversarial: View, clean: View, adversarial: View) -> dict[str, Term]:
        """Eq. 4's two terms: (1 - beta) KL(p_t(x) || p_s(x)) + beta KL(p_t(x^) || p_s(x^)), means over the batch."""
        return {
            "arkd_clean": Term(1 - self.beta, kl(teacher_clean.logits_BK, clean.logits_BK).mean()),
            "arkd_adversarial": Term(self.beta, kl(teacher_adversarial.logits_BK, adversarial.logits_BK).mean()),
        }
