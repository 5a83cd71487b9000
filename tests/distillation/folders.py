"""Jobs on digits that train in a second: their specs, their folders, and runs in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from core.distillation.__main__ import create_run
from core.distillation.jobs.training import TrainingRun
from core.distillation.models import from_description
from core.distillation.models.safetensors_weights import serialize_weights
from core.distillation.training.trainer import Trainer
from core.job_folder import Ended, FileReady, JobFolder
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
SMALL_JOB: dict[str, Any] = {
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


def distillation_spec(**changes: Any) -> DistillationSpec:
    return DistillationSpec.model_validate(
        {"teacher": "mdl_teacher", "method": {"name": "starship"}, **SMALL_JOB, **changes}
    )


def training_spec(**changes: Any) -> AdversarialTrainingSpec:
    return AdversarialTrainingSpec.model_validate({**SMALL_JOB, **changes})


def create_job_folder(path: Path, spec: TrainingSpec) -> JobFolder:
    """Create the folder of a job. The teacher has the same weights every time."""
    folder = JobFolder(path)
    folder.create(resolve(spec, DIGITS), teacher=TEACHER, dataset=DIGITS)
    torch.manual_seed(7)
    folder.teacher_weights.write_bytes(serialize_weights(from_description(TEACHER), {}))
    return folder


def run_job(folder: JobFolder, stop: Callable[[], bool] = lambda: False) -> Ended:
    """Run the job in this process."""
    spec = folder.read_spec()
    assert isinstance(
        spec,
        ResolvedAdversarialTrainingSpec | ResolvedDistillationSpec | ResolvedEvaluationJobSpec,
    )
    return create_run(folder, spec, stop).run()


def prepare_trainer(folder: JobFolder) -> Trainer:
    """Return the trainer of a training job, before its first step."""
    spec = folder.read_spec()
    assert isinstance(spec, ResolvedAdversarialTrainingSpec | ResolvedDistillationSpec)
    run = create_run(folder, spec, lambda: False)
    assert isinstance(run, TrainingRun)
    return run.prepare()[0]


class StopAfter:
    """A ``stop`` callback that returns False ``count`` times, and then True."""

    def __init__(self, count: int) -> None:
        self.remaining = count

    def __call__(self) -> bool:
        self.remaining -= 1
        return self.remaining < 0


def newest_checkpoint(folder: JobFolder) -> Path:
    events, _ = folder.read_events()
    files = [event for event in events if isinstance(event, FileReady)]
    names = [event.name for event in files if event.kind == "checkpoint"]
    return folder.output / names[-1]


def timeless_results(folder: JobFolder) -> dict[str, Any]:
    """Return results, history and best epoch of the report, without times."""
    report = json.loads((folder.output / "report.json").read_text())
    timeless = {
        role: {name: without_seconds(entry) for name, entry in results.items()}
        for role, results in report["results"].items()
    }
    return {
        "results": timeless,
        "history": report["history"],
        "best_epoch": report["network"]["best_epoch"],
    }


def without_seconds(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "seconds"}


def assert_same_results(one: JobFolder, other: JobFolder) -> None:
    """Compare published weights, last checkpoints and results bit for bit."""
    for name in ("best.safetensors", "last.safetensors"):
        expected = load_file(one.output / name)
        actual = load_file(other.output / name)
        assert expected.keys() == actual.keys()
        assert all(torch.equal(expected[key], actual[key]) for key in expected), name
    optimizers = [load_file(newest_checkpoint(folder)) for folder in (one, other)]
    assert optimizers[0].keys() == optimizers[1].keys()
    assert all(torch.equal(optimizers[0][key], optimizers[1][key]) for key in optimizers[0])
    assert timeless_results(one) == timeless_results(other)
