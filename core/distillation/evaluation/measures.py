"""The registry of measures: attacks, AutoAttack and analyses share one signature."""

from collections.abc import Callable, Iterator
from typing import Any

from core.distillation.evaluation.accuracy import accuracy
from core.distillation.evaluation.analyses.calibration import calibration
from core.distillation.evaluation.analyses.examples import examples
from core.distillation.evaluation.analyses.grad_cam import grad_cam
from core.distillation.evaluation.analyses.gradient_checks import gradient_checks
from core.distillation.evaluation.analyses.gradient_masking import gradient_masking
from core.distillation.evaluation.analyses.radius_sweep import radius_sweep
from core.distillation.evaluation.analyses.spectra import spectra
from core.distillation.evaluation.analyses.transfer import transfer
from core.distillation.evaluation.analyses.variance_gap import variance_gap
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.steps import Finding, MeasureState, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.jobspec.evaluation import GradientChecks
from core.jobspec.resolved import ResolvedAnalysis, ResolvedAttack

MeasureSettings = ResolvedAttack | ResolvedAnalysis | GradientChecks | None
"""None: clean accuracy."""

Measure = Callable[[EvaluationTarget, Any, MeasureState | None], Iterator[Step | Finding]]
"""``(target, settings, state)``: yields steps and, last, the finding.

``settings`` is of the measure's own class, ``state`` that of an earlier step or None.
"""

MEASURES: dict[str, Measure] = {
    "clean": accuracy,
    "pgd": accuracy,
    "cw": accuracy,
    "autoattack": autoattack,
    "radius_sweep": radius_sweep,
    "variance_gap": variance_gap,
    "spectra": spectra,
    "grad_cam": grad_cam,
    "calibration": calibration,
    "transfer": transfer,
    "gradient_masking": gradient_masking,
    "examples": examples,
    "gradient_checks": gradient_checks,
}
"""Every measure, by the ``name`` of its settings; only clean accuracy has none."""


def measure(
    target: EvaluationTarget, settings: MeasureSettings, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Evaluate one measure: yield its steps and, last, its finding; resume from ``state``."""
    name = "clean" if settings is None else settings.name
    return MEASURES[name](target, settings, state)
