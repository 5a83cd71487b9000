"""N-FGSM adversarial training: PGD-AT's loss on single-step images.

de Jorge et al., NeurIPS 2022.
"""

from core.distillation.methods.pgd_at import PgdAt


class NFgsmAt(PgdAt):
    """PGD-AT; the spec requires the N-FGSM adversary for it."""
