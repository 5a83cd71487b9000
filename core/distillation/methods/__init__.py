"""The methods' table of contents: one method a file."""

from typing import Any

from core.distillation.methods.arkd import Arkd
from core.distillation.methods.method import Batch, Method, Outcome, Term
from core.distillation.methods.pgd_at import PgdAt
from core.distillation.methods.starship import Starship
from core.distillation.methods.trades import Trades
from core.distillation.models.network import Classifier
from core.distillation.views import Precision
from core.spec.method import DistillationMethod, TrainingMethod

__all__ = ["METHODS", "Batch", "Method", "Outcome", "Term", "build"]

METHODS: dict[str, Any] = {
    "starship": Starship,
    "arkd": Arkd,
    "trades": Trades,
    "pgd_at": PgdAt,
}


def build(
    settings: DistillationMethod | TrainingMethod, student: Classifier, teacher: Classifier | None, precision: Precision = "fp32"
) -> Method:
    """The method of a spec at work on one student; ``teacher`` is None for methods that need none."""
    make = METHODS[settings.name]
    method: Method = make(settings, student, precision) if teacher is None else make(settings, student, teacher, precision)
    return method
