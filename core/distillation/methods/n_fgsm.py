"""N-FGSM adversarial training (de Jorge et al., NeurIPS 2022): PGD-AT's loss on single-step images."""

from core.distillation.methods.pgd_at import PgdAt


class NFgsmAt(PgdAt):
    """The spec holds it to the N-FGSM adversary."""
