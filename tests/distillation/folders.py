"""Job folders on digits, small enough to train in a second."""

from pathlib import Path
from typing import Any

import torch

from core.distillation.__main__ import create_run
from core.distillation.models import from_description
from core.distillation.models.safetensors_weights import serialize_weights
from core.job_folder import Ended, JobFolder
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import (
    AdversarialTrainingSpec,
    DistillationSpec,
    TrainingSpec,
)
from core.jobspec.network import ModelDescription, SmallCnn
from core.jobspec.resolved import (
    ResolvedAdversarialTrainingSpec,
    ResolvedDistillationSpec,
    ResolvedEvaluationJobSpec,
)

TEACHER = ModelDescription(network=SmallCnn(width=4), classes=10, channels=1, height=8, width=8)
SMALL: dict[str, Any] = {
    "student": {"architecture": "small_cnn", "width": 2},
    "data": {
        "dataset": "digits",
        "held_out": 0.1,
        "limit": 300,
        "augmentation": {"crop_padding": 1, "flip": True},
    },
    "adversary": {"name": "pgd", "radius": 0.15, "step_size": 0.05, "steps": 2},
    "schedule": {"epochs": 2, "batch_size": 64, "checkpoint_seconds": 0},
    "export": [],
    "evaluation": {
        "attacks": [{"name": "pgd", "steps": 3}, {"name": "cw", "steps": 3}],
        "limit": 100,
        "batch_size": 50,
    },
}


def distillation(**changes: Any) -> DistillationSpec:
    return DistillationSpec.model_validate(
        {"teacher": "mdl_teacher", "method": {"name": "starship"}, **SMALL, **changes}
    )


def training(**changes: Any) -> AdversarialTrainingSpec:
    return AdversarialTrainingSpec.model_validate({**SMALL, **changes})


def laid_out(path: Path, spec: TrainingSpec) -> JobFolder:
    """The folder of a job, with a teacher whose weights are always the same."""
    folder = JobFolder(path)
    folder.create(resolve(spec, DIGITS), teacher=TEACHER, dataset=DIGITS)
    torch.manual_seed(7)
    folder.teacher_weights.write_bytes(serialize_weights(from_description(TEACHER), {}))
    return folder


def run(folder: JobFolder, stop: Any = lambda: False) -> Ended:
    """The job, in this process."""
    spec = folder.read_spec()
    assert isinstance(
        spec,
        ResolvedAdversarialTrainingSpec | ResolvedDistillationSpec | ResolvedEvaluationJobSpec,
    )
    return create_run(folder, spec, stop).run()
