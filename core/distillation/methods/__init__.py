"""The methods' table of contents: one method a file."""

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

__all__ = ["METHODS", "Batch", "Method", "MethodLoss", "LossTerm", "TrainingPosition", "build"]

METHODS: dict[str, Any] = {
    "starship": Starship,
    "arkd": Arkd,
    "ard": Ard,
    "iad": Iad,
    "rslad": Rslad,
    "akd": Akd,
    "adaad": AdaAd,
    "trades": Trades,
    "pgd_at": PgdAt,
    "score": Score,
    "n_fgsm": NFgsmAt,
    "at_prm": AtPrm,
}


def build(
    settings: ResolvedMethodSettings,
    student: Classifier,
    teacher: Classifier | None,
    precision: Precision = "fp32",
    igdm: IgdmSettings | None = None,
) -> Method:
    """The method of a spec at work on one student; ``teacher`` is None for methods that need none."""
    make = METHODS[settings.name]
    method: Method = (
        make(settings, student, precision)
        if teacher is None
        else make(settings, student, teacher, precision)
    )
    if igdm is None:
        return method
    assert isinstance(method, DistillationMethod)
    return Igdm(igdm, method)
