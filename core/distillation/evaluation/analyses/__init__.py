"""The analyses' table of contents: one a file, each a measure that can be resumed at any of its steps."""

from collections.abc import Callable, Iterator

from core.distillation.evaluation.analyses.calibration import calibration
from core.distillation.evaluation.analyses.grad_cam import grad_cam
from core.distillation.evaluation.analyses.gradient_masking import gradient_masking
from core.distillation.evaluation.analyses.radius_sweep import radius_sweep
from core.distillation.evaluation.analyses.spectra import spectra
from core.distillation.evaluation.analyses.transfer import transfer
from core.distillation.evaluation.analyses.variance_gap import variance_gap
from core.distillation.evaluation.steps import Finding, Step

Measure = Callable[..., Iterator[Step | Finding]]
"""(settings, subject, state) -> steps, and in the end the finding."""

ANALYSES: dict[str, Measure] = {
    "radius_sweep": radius_sweep,
    "variance_gap": variance_gap,
    "spectra": spectra,
    "grad_cam": grad_cam,
    "calibration": calibration,
    "transfer": transfer,
    "gradient_masking": gradient_masking,
}
