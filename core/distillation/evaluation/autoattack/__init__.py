"""AutoAttack (Croce and Hein, ICML 2020): APGD, APGD with targets, FAB with targets, and Square."""

from core.distillation.evaluation.autoattack.suite import autoattack

__all__ = ["autoattack"]
