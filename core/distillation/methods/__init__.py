"""The table of contents of the methods: one file each."""

from typing import Any

from core.distillation.forward import Precision
from core.distillation.methods.adaad import AdaAd
from core.distillation.methods.akd import Akd
from core.distillation.methods.ard import Ard
from core.distillation.methods.arkd import Arkd
from core.distillation.methods.at_prm import AtPrm
from core.distillation.methods.iad import Iad
from core.distillation.methods.igdm import Igdm
from core.distillation.methods.method import (
    Batch,
    DistillationMethod,
    LossTerm,
    Method,
    MethodLoss,
    TrainingPosition,
)
from core.distillation.methods.n_fgsm import NFgsmAt
from core.distillation.methods.pgd_at import PgdAt
from core.distillation.methods.rslad import Rslad
from core.distillation.methods.score import Score
from core.distillation.methods.starship import Starship
from core.distillation.methods.trades import Trades
from core.distillation.models.network import Classifier
from core.jobspec.resolved import ResolvedMethodSettings
from core.jobspec.training.methods import IgdmSettings

__all__ = [
    "ADVERSARIAL_TRAINING_METHODS",
    "DISTILLATION_METHODS",
    "METHODS",
    "Batch",
    "LossTerm",
    "Method",
    "MethodLoss",
    "TrainingPosition",
    "build",
]

DISTILLATION_METHODS: dict[str, type[DistillationMethod]] = {
    "starship": Starship,
    "arkd": Arkd,
    "ard": Ard,
    "iad": Iad,
    "rslad": Rslad,
    "akd": Akd,
    "adaad": AdaAd,
}
"""Methods that train a student with a teacher."""
ADVERSARIAL_TRAINING_METHODS: dict[str, type[Method[Any]]] = {
    "trades": Trades,
    "pgd_at": PgdAt,
    "score": Score,
    "n_fgsm": NFgsmAt,
    "at_prm": AtPrm,
}
"""Methods that train a network without a teacher."""
METHODS: dict[str, type[Method[Any]]] = {**DISTILLATION_METHODS, **ADVERSARIAL_TRAINING_METHODS}


def build(
    settings: ResolvedMethodSettings,
    student: Classifier,
    teacher: Classifier | None,
    precision: Precision = "fp32",
    igdm: IgdmSettings | None = None,
) -> Method[Any]:
    """Return the method of a spec, applied to one student.

    ``teacher`` is None for TRAINING_METHODS; ``igdm`` adds its term to a distillation method.
    """
    if teacher is None:
        return ADVERSARIAL_TRAINING_METHODS[settings.name](settings, student, precision)
    method = DISTILLATION_METHODS[settings.name](settings, student, teacher, precision)
    return method if igdm is None else Igdm(igdm, method)
