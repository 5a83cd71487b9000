"""Specs with every default written out: what `defaults.resolve` returns, and what is stored.

Each class narrows fields that may be None in what a caller submits, and inherits everything else,
so that the JSON has the same form. The database, job folders and checkpoints hold resolved specs.
"""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, model_validator

from core.jobspec.base import EpochCount, PixelDistance, Radius, Spec
from core.jobspec.data import Augmentation, TrainingData
from core.jobspec.evaluation import (
    ANALYSIS_STEPS,
    AutoAttack,
    Calibration,
    CwAttack,
    Evaluation,
    Examples,
    GapRadii,
    GradCam,
    GradientMasking,
    PgdAttack,
    RadiusSweep,
    Spectra,
    SweepRadii,
    Transfer,
    VarianceGap,
)
from core.jobspec.job import (
    AdversarialTrainingSpec,
    DistillationSpec,
    EvaluationJobSpec,
    ImportSpec,
)
from core.jobspec.training.averaging import EmaSettings, SwaSettings
from core.jobspec.training.methods import (
    AdaAdSettings,
    AdversarialTrainingMethodSettings,
    AkdSettings,
    ArdSettings,
    ArkdSettings,
    IadSettings,
    RsladSettings,
)
from core.jobspec.training.presets import apply_preset
from core.jobspec.training.starship import (
    CovarianceAlignmentSettings,
    HeadDimension,
    ProjectionHeadSettings,
    StarshipSettings,
)
from core.jobspec.upgrades import upgrade


class ResolvedPgdAttack(PgdAttack):
    """PGD at a known radius."""

    radius: PixelDistance
    step_size: PixelDistance


class ResolvedCwAttack(CwAttack):
    """CW-infinity at a known radius."""

    radius: PixelDistance
    step_size: PixelDistance


class ResolvedAutoAttack(AutoAttack):
    """AutoAttack at a known radius."""

    radius: Radius


ResolvedAttack = Annotated[
    ResolvedPgdAttack | ResolvedCwAttack | ResolvedAutoAttack, Field(discriminator="name")
]


class ResolvedRadiusSweep(RadiusSweep):
    """A radius sweep over known radii."""

    radii: SweepRadii

    @property
    def network_passes(self) -> int:
        """Passes of the network on one image."""
        return len(self.radii) * (self.steps + 1)


class ResolvedVarianceGap(VarianceGap):
    """The variance gap at known radii."""

    radii: GapRadii

    @property
    def network_passes(self) -> int:
        """Passes of network and reference on one image."""
        return 2 * len(self.radii) * (ANALYSIS_STEPS + 2)


ResolvedAnalysis = Annotated[
    ResolvedRadiusSweep
    | ResolvedVarianceGap
    | Spectra
    | GradCam
    | Calibration
    | Transfer
    | GradientMasking
    | Examples,
    Field(discriminator="name"),
]


class ResolvedEvaluation(Evaluation):
    """An evaluation whose attacks and analyses are resolved."""

    attacks: tuple[ResolvedAttack, ...] = Field(strict=False, max_length=8)
    analyses: tuple[ResolvedAnalysis, ...] = Field(default=(), strict=False, max_length=8)


class ResolvedTrainingData(TrainingData):
    """Training data with a known augmentation."""

    augmentation: Augmentation


class ResolvedIadSettings(IadSettings):
    """IAD-I with a known first epoch of introspection."""

    begin: EpochCount


class ResolvedProjectionHeadSettings(ProjectionHeadSettings):
    """Projection heads of a known dimension."""

    dimension: HeadDimension


class ResolvedCovarianceAlignmentSettings(CovarianceAlignmentSettings):
    """FCA behind heads of a known dimension."""

    heads: ResolvedProjectionHeadSettings


class ResolvedStarshipSettings(StarshipSettings):
    """STARSHIP with heads of a known dimension."""

    covariance: ResolvedCovarianceAlignmentSettings


ResolvedDistillationMethodSettings = Annotated[
    ResolvedStarshipSettings
    | ArkdSettings
    | ArdSettings
    | ResolvedIadSettings
    | RsladSettings
    | AkdSettings
    | AdaAdSettings,
    Field(discriminator="name"),
]
ResolvedMethodSettings = ResolvedDistillationMethodSettings | AdversarialTrainingMethodSettings


class ResolvedSwaSettings(SwaSettings):
    """SWA with a known first epoch."""

    begin: EpochCount


ResolvedAveragingSettings = Annotated[
    EmaSettings | ResolvedSwaSettings, Field(discriminator="name")
]


class _WithoutPreset(Spec):
    """A spec whose preset was filled in when it was submitted.

    One that an earlier release stored gets the defaults of newer fields, not today's preset: its
    job stays as it was. In a job folder made by hand, whose spec need not have every field, the
    method's preset is applied where a stored spec never lacks a field: it has no schedule.
    """

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, body: Any) -> Any:
        is_stored = isinstance(body, dict) and "schedule" in body and "adversary" in body
        return body if is_stored or not isinstance(body, dict) else apply_preset(body)


class ResolvedAdversarialTrainingSpec(_WithoutPreset, AdversarialTrainingSpec):
    """An adversarial training with every default written out."""

    evaluation: ResolvedEvaluation
    data: ResolvedTrainingData
    averaging: ResolvedAveragingSettings | None = None


class ResolvedDistillationSpec(_WithoutPreset, DistillationSpec):
    """A distillation with every default written out."""

    evaluation: ResolvedEvaluation
    data: ResolvedTrainingData
    averaging: ResolvedAveragingSettings | None = None
    method: ResolvedDistillationMethodSettings


class ResolvedEvaluationJobSpec(EvaluationJobSpec):
    """An evaluation job with every default written out."""

    evaluation: ResolvedEvaluation


ResolvedTrainingSpec = ResolvedAdversarialTrainingSpec | ResolvedDistillationSpec
ResolvedSpec = Annotated[
    ResolvedAdversarialTrainingSpec | ResolvedDistillationSpec | ResolvedEvaluationJobSpec,
    Field(discriminator="kind"),
]
"""A submitted spec after `defaults.resolve`."""
JobSpec = Annotated[ResolvedSpec | ImportSpec, Field(discriminator="kind")]
"""What is stored for a job: in the database, in its job folder and in its checkpoints."""

_job_spec: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)


def parse(data: dict[str, Any]) -> JobSpec:
    """Validate a stored spec, which an earlier program may have written."""
    return _job_spec.validate_python(upgrade(data))
