"""What the device memory of a job depends on: its networks, batches and settings, and no names."""

import hashlib
from typing import Any, TypeVar

from core.jobspec.base import Spec
from core.jobspec.data import Augmentation, DatasetDescription
from core.jobspec.evaluation import Evaluation
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import (
    ResolvedAdversarialTrainingSpec,
    ResolvedDistillationSpec,
    ResolvedEvaluationJobSpec,
    ResolvedSpec,
    ResolvedTrainingSpec,
)
from core.jobspec.training.adversary import NFgsmAdversarySettings, PgdAdversarySettings
from core.jobspec.training.methods import AtPrmSettings
from core.jobspec.training.schedule import Constant, OneCycle, Schedule, Triangular

ANY_NAME = "any"
"""In place of every id and name."""
MAX_STEPS = 1
"""Steps of an attack that are simulated: each needs the memory of the others."""
VERSION = 2
"""To be raised where the same request gets another answer."""


AnySpec = TypeVar(
    "AnySpec",
    ResolvedDistillationSpec,
    ResolvedAdversarialTrainingSpec,
    ResolvedTrainingSpec,
    ResolvedEvaluationJobSpec,
)


class MemoryRequest(Spec):
    """A question for the estimator. Equal ones have equal answers, whichever project asks."""

    version: int = VERSION
    spec: ResolvedSpec
    """As short as it can be with the same peak of memory, and without names."""
    student: ModelDescription
    """Or the model that an evaluation evaluates."""
    teacher: ModelDescription | None
    """Or an evaluation's reference."""
    resident_bytes: int
    """Size of the images that lie on the device all the time."""

    def key(self) -> str:
        """Return the SHA-256 of the request."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def training_request(
    spec: ResolvedTrainingSpec, dataset: DatasetDescription, teacher: ModelDescription | None
) -> MemoryRequest:
    """Return the request of a training."""
    student = ModelDescription(
        network=spec.student,
        classes=dataset.classes,
        channels=dataset.channels,
        height=dataset.height,
        width=dataset.width,
    )
    images = min(spec.data.limit or dataset.train_images, dataset.train_images)
    return MemoryRequest(
        spec=_shorten_training(spec),
        student=student,
        teacher=teacher,
        resident_bytes=_resident_bytes(images, spec.evaluation, dataset),
    )


def evaluation_request(
    spec: ResolvedEvaluationJobSpec,
    dataset: DatasetDescription,
    model: ModelDescription,
    reference: ModelDescription | None,
) -> MemoryRequest:
    """Return the request of an evaluation."""
    shortened = _without_names(spec).model_copy(update={"model": ANY_NAME, "radius": 0.0})
    return MemoryRequest(
        spec=shortened,
        student=model,
        teacher=reference,
        resident_bytes=_resident_bytes(0, spec.evaluation, dataset),
    )


def _without_names(spec: AnySpec) -> AnySpec:
    """Return the spec without what names it and its inputs, and with a short evaluation."""
    evaluation = {"attacks": (), "limit": None, "every_epochs": 1, "seed": 0}
    changes: dict[str, Any] = {
        "name": None,
        "metadata": {},
        "license": None,
        "export": (),
        "data": spec.data.model_copy(update={"dataset": ANY_NAME}),
        "evaluation": spec.evaluation.model_copy(update=evaluation),
    }
    return spec.model_copy(update=changes)


def _shorten_training(spec: ResolvedTrainingSpec) -> ResolvedTrainingSpec:
    """Return a training of one epoch in which everything that begins later has begun."""
    schedule = spec.schedule
    cycles = isinstance(schedule.decay, OneCycle | Triangular) and schedule.decay.cycle_momentum
    data = {"held_out": 0.02, "limit": None, "extra": None, "augmentation": Augmentation()}
    changes: dict[str, Any] = {
        "preset": None,
        "start_from": None,
        "seed": 0,
        "schedule": Schedule(
            epochs=1,
            batch_size=schedule.batch_size,
            momentum=0.9 if cycles or schedule.momentum > 0 else 0.0,
            precision="bf16" if schedule.precision == "bf16" else "fp32",
            decay=Constant(),
        ),
        "adversary": _shorten_adversary(spec.adversary),
        "method": _begun(spec.method),
        "awp": _begun(spec.awp),
        "averaging": _begun(spec.averaging),
    }
    if isinstance(spec, ResolvedDistillationSpec):
        changes["teacher"] = ANY_NAME
    shortened = _without_names(spec).model_copy(update=changes)
    return shortened.model_copy(update={"data": shortened.data.model_copy(update=data)})


def _shorten_adversary(
    adversary: PgdAdversarySettings | NFgsmAdversarySettings,
) -> PgdAdversarySettings | NFgsmAdversarySettings:
    if isinstance(adversary, NFgsmAdversarySettings):
        return NFgsmAdversarySettings(student_mode=adversary.student_mode)
    steps = min(adversary.steps, MAX_STEPS)
    return PgdAdversarySettings(steps=steps, student_mode=adversary.student_mode)


def _begun(settings: Any) -> Any:
    """Return the settings of a part of the training as of the epoch in which it needs most."""
    if isinstance(settings, AtPrmSettings):  # which draws numbers on the host for each batch
        return settings.model_copy(update={"mixup": 0.0, "cutmix": 0.0, "ramp_epochs": 0})
    if getattr(settings, "begin", None) is not None:
        return settings.model_copy(update={"begin": 0})
    return settings


def _resident_bytes(train_images: int, evaluation: Evaluation, dataset: DatasetDescription) -> int:
    """Return the size of the images that a job moves to its device before it begins.

    Encoded images are read from disk, batch by batch.
    """
    if dataset.source == "encoded":
        return 0
    images = train_images + min(evaluation.limit or dataset.test_images, dataset.test_images)
    return images * dataset.channels * dataset.height * dataset.width
