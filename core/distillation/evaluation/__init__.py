"""Evaluation of networks: clean and robust accuracy, AutoAttack, and analyses.

Robust accuracy is the share of ALL images that are classified correctly under attack. Networks are
in eval mode and fp32, and every random start is seeded.
"""

from core.distillation.evaluation.measures import MEASURES, measure
from core.distillation.evaluation.steps import Finding, Step, last_finding
from core.distillation.evaluation.target import EvaluationTarget

__all__ = ["MEASURES", "EvaluationTarget", "Finding", "Step", "last_finding", "measure"]
