"""Write out the defaults that depend on other fields of a job or on its data set.

This happens once, at submission.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

from core.jobspec.base import Spec
from core.jobspec.data import Augmentation, DatasetDescription, ResizedCrop, TrainingData
from core.jobspec.evaluation import (
    Analysis,
    Attack,
    AutoAttack,
    Evaluation,
    PgdAttack,
    RadiusSweep,
    VarianceGap,
)
from core.jobspec.job import (
    AdversarialTrainingSpec,
    DistillationSpec,
    EvaluationJobSpec,
    SubmittedSpec,
    TrainingSpec,
)
from core.jobspec.network import Network, feature_width
from core.jobspec.resolved import (
    ResolvedAdversarialTrainingSpec,
    ResolvedAnalysis,
    ResolvedAttack,
    ResolvedAutoAttack,
    ResolvedAveragingSettings,
    ResolvedCovarianceAlignmentSettings,
    ResolvedCwAttack,
    ResolvedDistillationMethodSettings,
    ResolvedDistillationSpec,
    ResolvedEvaluation,
    ResolvedEvaluationJobSpec,
    ResolvedIadSettings,
    ResolvedPgdAttack,
    ResolvedProjectionHeadSettings,
    ResolvedRadiusSweep,
    ResolvedSpec,
    ResolvedStarshipSettings,
    ResolvedSwaSettings,
    ResolvedTrainingData,
    ResolvedTrainingSpec,
    ResolvedVarianceGap,
)
from core.jobspec.training.averaging import AveragingSettings, EmaSettings
from core.jobspec.training.methods import DistillationMethodSettings, IadSettings
from core.jobspec.training.presets import settings_by_classes
from core.jobspec.training.starship import StarshipSettings

CW_STEP_PER_RADIUS = 0.003 / (8 / 255)
SWEEP_STEPS = 16
GAP_STEPS = 8
IAD_BEGIN_SHARE = 0.3
SWA_BEGIN_SHARE = 0.75


@overload
def resolve(
    spec: AdversarialTrainingSpec, dataset: DatasetDescription
) -> ResolvedAdversarialTrainingSpec: ...
@overload
def resolve(spec: DistillationSpec, dataset: DatasetDescription) -> ResolvedDistillationSpec: ...
@overload
def resolve(spec: EvaluationJobSpec, dataset: DatasetDescription) -> ResolvedEvaluationJobSpec: ...
@overload
def resolve(spec: TrainingSpec, dataset: DatasetDescription) -> ResolvedTrainingSpec: ...
@overload
def resolve(spec: SubmittedSpec, dataset: DatasetDescription) -> ResolvedSpec: ...


def resolve(spec: SubmittedSpec, dataset: DatasetDescription) -> ResolvedSpec:
    """Return the job with every default that depends on other fields or the data set."""
    if isinstance(spec, EvaluationJobSpec):
        fields = dict(spec)
        fields["evaluation"] = _resolve_evaluation(spec.evaluation, spec.radius)
        return ResolvedEvaluationJobSpec(**fields)
    spec = complete_preset(spec, dataset.classes)
    fields = dict(spec)
    epochs = spec.schedule.epochs
    fields["evaluation"] = _resolve_evaluation(spec.evaluation, spec.adversary.radius)
    fields["data"] = _resolve_data(spec.data, dataset)
    fields["averaging"] = _resolve_averaging(spec.averaging, epochs)
    if isinstance(spec, AdversarialTrainingSpec):
        return ResolvedAdversarialTrainingSpec(**fields)
    fields["method"] = resolve_method(spec.method, spec.student, epochs)
    return ResolvedDistillationSpec(**fields)


TrainingSpecT = TypeVar("TrainingSpecT", bound=TrainingSpec)
SpecT = TypeVar("SpecT", bound=Spec)


def complete_preset(spec: TrainingSpecT, classes: int) -> TrainingSpecT:
    """Return the job with those settings of its preset that depend on the number of classes.

    As all of a preset's, they are for fields that the submitted body does not have.
    """
    if spec.preset is None:
        return spec
    parts = [name for name, value in spec if value is not None]
    return _fill_in_unset(spec, settings_by_classes(spec.method.name, parts, classes))


def _fill_in_unset(spec: SpecT, settings: Mapping[str, Any]) -> SpecT:
    """Return ``spec`` with ``settings`` in those fields, at every depth, that were not set."""
    changes = {}
    for name, setting in settings.items():
        value = getattr(spec, name)
        if isinstance(value, Spec):
            changes[name] = _fill_in_unset(value, setting)
        elif name not in spec.model_fields_set:
            changes[name] = setting
    return spec.model_copy(update=changes)


def resolve_method(
    method: DistillationMethodSettings, student: Network, epochs: int
) -> ResolvedDistillationMethodSettings:
    """Return a distillation method's settings for this student and this many epochs."""
    if isinstance(method, IadSettings):
        begin = round(IAD_BEGIN_SHARE * epochs) if method.begin is None else method.begin
        return ResolvedIadSettings(**{**dict(method), "begin": begin})
    if isinstance(method, StarshipSettings):
        return resolve_starship(method, feature_width(student))
    return method


def resolve_starship(method: StarshipSettings, student_features: int) -> ResolvedStarshipSettings:
    """Return STARSHIP's settings for a student with this many penultimate features."""
    heads = method.covariance.heads
    dimension = heads.dimension_for(student_features)
    resolved_heads = ResolvedProjectionHeadSettings(**{**dict(heads), "dimension": dimension})
    covariance = ResolvedCovarianceAlignmentSettings(
        **{**dict(method.covariance), "heads": resolved_heads}
    )
    return ResolvedStarshipSettings(**{**dict(method), "covariance": covariance})


def _resolve_data(data: TrainingData, dataset: DatasetDescription) -> ResolvedTrainingData:
    augmentation = data.augmentation or default_augmentation(dataset)
    return ResolvedTrainingData(**{**dict(data), "augmentation": augmentation})


def default_augmentation(dataset: DatasetDescription) -> Augmentation:
    """Return a crop with an eighth of the side as padding and flips for color images, nothing for
    gray ones, and a resized crop for encoded ones.
    """
    color = dataset.channels == 3
    if dataset.source == "encoded":
        return Augmentation(resized_crop=ResizedCrop(), flip=color)
    crop_padding = min(dataset.height, dataset.width) // 8 if color else 0
    return Augmentation(crop_padding=crop_padding, flip=color)


def _resolve_averaging(
    averaging: AveragingSettings | None, epochs: int
) -> ResolvedAveragingSettings | None:
    if averaging is None or isinstance(averaging, EmaSettings):
        return averaging
    begin = averaging.begin
    if begin is None:
        begin = min(round(SWA_BEGIN_SHARE * epochs), epochs - 1)
    return ResolvedSwaSettings(**{**dict(averaging), "begin": begin})


def _resolve_evaluation(evaluation: Evaluation, training_radius: float) -> ResolvedEvaluation:
    attacks = [_resolve_attack(attack, training_radius) for attack in evaluation.attacks]
    analyses = [_resolve_analysis(analysis, training_radius) for analysis in evaluation.analyses]
    return ResolvedEvaluation(**{**dict(evaluation), "attacks": attacks, "analyses": analyses})


def _resolve_attack(attack: Attack, training_radius: float) -> ResolvedAttack:
    radius = training_radius if attack.radius is None else attack.radius
    if isinstance(attack, AutoAttack):
        return ResolvedAutoAttack(**{**dict(attack), "radius": radius})
    step_size = attack.step_size
    if step_size is None:
        step_size = usual_step_size(attack.name, radius)
    fields = {**dict(attack), "radius": radius, "step_size": step_size}
    if isinstance(attack, PgdAttack):
        return ResolvedPgdAttack(**fields)
    return ResolvedCwAttack(**fields)


def usual_step_size(attack: Literal["pgd", "cw"], radius: float) -> float:
    """Return 2/255 (PGD) or 0.003 (CW) at radius 8/255, in proportion elsewhere."""
    return min(1.0, radius * (0.25 if attack == "pgd" else CW_STEP_PER_RADIUS))


def _resolve_analysis(analysis: Analysis, training_radius: float) -> ResolvedAnalysis:
    fields: dict[str, Any] = dict(analysis)
    if isinstance(analysis, RadiusSweep):
        fields["radii"] = analysis.radii or _radii(training_radius, SWEEP_STEPS)
        return ResolvedRadiusSweep(**fields)
    if isinstance(analysis, VarianceGap):
        fields["radii"] = analysis.radii or _radii(training_radius, GAP_STEPS)[1:]
        return ResolvedVarianceGap(**fields)
    return analysis


def _radii(training_radius: float, steps: int) -> tuple[float, ...]:
    """Return equally spaced radii from 0 to twice the training radius."""
    return tuple(min(1.0, 2 * training_radius * step / steps) for step in range(steps + 1))
