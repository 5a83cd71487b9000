"""Clean and robust accuracy: correct under attack / ALL images. Eval mode, fp32, every random start seeded."""

from core.distillation.evaluation.accuracy import accuracy, measure
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.target import EvaluationTarget

__all__ = ["EvaluationTarget", "Finding", "Step", "accuracy", "measure"]
