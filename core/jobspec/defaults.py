"""Writes out the defaults that depend on other fields of a job or on its data set. Run once, at submission."""

from typing import Any, Literal, TypeVar

from core.jobspec.data import Augmentation, DatasetDescription, ResizedCrop
from core.jobspec.evaluation import (
    Analysis,
    Attack,
    AutoAttack,
    Evaluation,
    RadiusSweep,
    VarianceGap,
)
from core.jobspec.job import (
    AdversarialTrainingSpec,
    DistillationSpec,
    EvaluationJobSpec,
    TrainingSpec,
)
from core.jobspec.network import Network, feature_width
from core.jobspec.training.methods import (
    DistillationMethodSettings,
    IadSettings,
    TrainingMethodSettings,
)
from core.jobspec.training.starship import StarshipSettings
from core.jobspec.training.weights import SwaSettings

CW_STEP_PER_RADIUS = 0.003 / (8 / 255)


SWEEP_STEPS = 16


GAP_STEPS = 8


IAD_BEGIN_SHARE = 0.3


SWA_BEGIN_SHARE = 0.75


Method = DistillationMethodSettings | TrainingMethodSettings


Work = TypeVar(
    "Work",
    AdversarialTrainingSpec,
    DistillationSpec,
    EvaluationJobSpec,
    TrainingSpec,
    TrainingSpec | EvaluationJobSpec,
)


def resolve(spec: Work, dataset: DatasetDescription) -> Work:
    """The same job with every default written out that depends on another field or on the data set."""
    if isinstance(spec, EvaluationJobSpec):
        return spec.model_copy(
            update={"evaluation": _resolve_evaluation(spec.evaluation, spec.radius)}
        )
    updates: dict[str, Any] = {
        "evaluation": _resolve_evaluation(spec.evaluation, spec.adversary.radius)
    }
    if spec.data.augmentation is None:
        updates["data"] = spec.data.model_copy(
            update={"augmentation": default_augmentation(dataset)}
        )
    epochs = spec.schedule.epochs
    updates["method"] = _resolve_method(spec.method, spec.student, epochs)
    if isinstance(spec.averaging, SwaSettings) and spec.averaging.begin is None:
        updates["averaging"] = spec.averaging.model_copy(
            update={"begin": min(round(SWA_BEGIN_SHARE * epochs), epochs - 1)}
        )
    return spec.model_copy(update=updates)


def _resolve_method(method: Method, student: Network, epochs: int) -> Method:
    if isinstance(method, IadSettings) and method.begin is None:
        return method.model_copy(update={"begin": round(IAD_BEGIN_SHARE * epochs)})
    if isinstance(method, StarshipSettings):
        heads = method.covariance.heads
        heads = heads.model_copy(update={"dimension": heads.width(feature_width(student))})
        return method.model_copy(
            update={"covariance": method.covariance.model_copy(update={"heads": heads})}
        )
    return method


def default_augmentation(dataset: DatasetDescription) -> Augmentation:
    """Colour images: crop with an eighth of the side as padding, and flip; grey ones: none. Encoded ones: a resized crop."""
    colour = dataset.channels == 3
    if dataset.source == "encoded":
        return Augmentation(resized_crop=ResizedCrop(), flip=colour)
    return Augmentation(
        crop_padding=min(dataset.height, dataset.width) // 8 if colour else 0, flip=colour
    )


def _resolve_evaluation(evaluation: Evaluation, training_radius: float) -> Evaluation:
    attacks = tuple(_resolve_attack(attack, training_radius) for attack in evaluation.attacks)
    analyses = tuple(
        _resolve_analysis(analysis, training_radius) for analysis in evaluation.analyses
    )
    return evaluation.model_copy(update={"attacks": attacks, "analyses": analyses})


def _resolve_attack(attack: Attack, training_radius: float) -> Attack:
    radius = training_radius if attack.radius is None else attack.radius
    if isinstance(attack, AutoAttack):
        return attack.model_copy(update={"radius": radius})
    step_size = (
        usual_step_size(attack.name, radius) if attack.step_size is None else attack.step_size
    )
    return attack.model_copy(update={"radius": radius, "step_size": step_size})


def usual_step_size(attack: Literal["pgd", "cw"], radius: float) -> float:
    """2/255 and 0.003 at radius 8/255, in proportion elsewhere."""
    return min(1.0, radius * (0.25 if attack == "pgd" else CW_STEP_PER_RADIUS))


def _resolve_analysis(analysis: Analysis, training_radius: float) -> Analysis:
    if isinstance(analysis, RadiusSweep) and analysis.radii is None:
        return analysis.model_copy(update={"radii": _radii(training_radius, SWEEP_STEPS)})
    if isinstance(analysis, VarianceGap) and analysis.radii is None:
        return analysis.model_copy(update={"radii": _radii(training_radius, GAP_STEPS)[1:]})
    return analysis


def _radii(training_radius: float, steps: int) -> tuple[float, ...]:
    """From 0 to twice the training radius, in equal steps."""
    return tuple(min(1.0, 2 * training_radius * step / steps) for step in range(steps + 1))
