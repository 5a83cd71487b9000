"""Things with defaults, so that a test states only what matters to it. Tiny: digits, a small CNN, one epoch."""

from typing import Any

from sqlalchemy import Engine

from core.jobspec.data import DIGITS, DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec
from core.jobspec.network import ModelDescription, SmallCnn
from core.jobspec.resolved import ResolvedAdversarialTrainingSpec, ResolvedDistillationSpec
from core.jobspec.status import Phase
from core.reportspec.report import Report
from core.store import attempts, events, jobs, models
from core.store.attempts import Attempt
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow, ModelRow
from core.store.objects.store import model_key

SHA256 = "0" * 64


def _training_body(**changes: Any) -> dict[str, Any]:
    return {
        "student": {"architecture": "small_cnn", "width": 4},
        "data": {
            "dataset": "digits",
            "held_out": 0.1,
            "limit": 256,
            "augmentation": {"crop_padding": 0, "flip": False},
        },
        "adversary": {"name": "pgd", "radius": 0.1, "step_size": 0.05, "steps": 2},
        "schedule": {"epochs": 1, "batch_size": 64, "learning_rate": 0.1},
        "export": [],
        "evaluation": {
            "attacks": [{"name": "pgd", "radius": 0.1, "step_size": 0.025, "steps": 2}],
            "limit": 64,
        },
        **changes,
    }


def training_body(**changes: Any) -> dict[str, Any]:
    """A job's JSON body; ``changes`` replace whole fields."""
    return {
        "kind": "adversarial_training",
        "method": {"name": "trades"},
        **_training_body(**changes),
    }


def distillation_body(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "distillation",
        "teacher": "teacher",
        "method": {"name": "arkd"},
        **_training_body(**changes),
    }


def training_spec(**changes: Any) -> ResolvedAdversarialTrainingSpec:
    return resolve(AdversarialTrainingSpec.model_validate(training_body(**changes)), DIGITS)


def distillation_spec(**changes: Any) -> ResolvedDistillationSpec:
    return resolve(DistillationSpec.model_validate(distillation_body(**changes)), DIGITS)


def model_description(**changes: Any) -> ModelDescription:
    return ModelDescription(
        **{
            "network": SmallCnn(width=4),
            "classes": 10,
            "channels": 1,
            "height": 8,
            "width": 8,
            **changes,
        }
    )


def dataset_description(**changes: Any) -> DatasetDescription:
    return DatasetDescription(
        **{
            "source": "packed",
            "classes": 3,
            "class_names": ("a", "b", "c"),
            "channels": 3,
            "height": 32,
            "width": 32,
            "train_images": 100,
            "test_images": 20,
            **changes,
        }
    )


def a_report(**changes: Any) -> dict[str, Any]:
    """The JSON of a training job's report; ``changes`` replace whole parts."""
    network = {
        "description": model_description().model_dump(mode="json"),
        "parameters": 100,
        "best_epoch": 1,
    }
    environment = {
        "python": "3.11",
        "platform": "Linux",
        "packages": {},
        "device": "cpu",
        "hardware": "a CPU",
        "threads": 1,
    }
    report = Report.model_validate(
        {
            "schema": "distill-report-2",
            "kind": "adversarial_training",
            "results": {
                "best": {
                    "clean": {"value": 0.5, "seconds": 1.0, "images": 64, "interval": [0.38, 0.62]}
                }
            },
            "warnings": [],
            "network": network,
            "reference": None,
            "data": {
                "dataset": "digits",
                "description": DIGITS.model_dump(mode="json"),
                "images": {"test": 64},
            },
            "selection": None,
            "seeds": {"training": 0},
            "history": [],
            "seconds": {"training": 1.0},
            "environment": environment,
            "spec": training_spec().model_dump(mode="json"),
            **changes,
        }
    )
    return report.as_json()


def a_job(engine: Engine, project_id: str = DEFAULT_PROJECT, **changes: Any) -> JobRow:
    """A queued training job; ``changes`` are those of ``training_spec``."""
    with write_session(engine) as session:
        return jobs.submit(session, project_id, training_spec(**changes), dataset_id=DIGITS_ID)


def an_attempt(
    engine: Engine,
    job: JobRow | None = None,
    *,
    worker: str = "worker-1",
    lease_seconds: float = 30.0,
) -> Attempt:
    """A running job's attempt."""
    attempt = attempts.claim(engine, (job or a_job(engine)).id, worker, lease_seconds)
    assert attempt is not None
    return attempt


def a_teacher(engine: Engine, name: str = "teacher", project_id: str = DEFAULT_PROJECT) -> ModelRow:
    """A ready model, of which there are no bytes."""
    with write_session(engine) as session:
        model = models.create(session, project_id, name, model_description())
        return models.mark_ready(
            session,
            model,
            model_description(),
            object_key=model_key(model.id),
            size=1,
            sha256=SHA256,
            parameters=100,
        )


def enter(attempt: Attempt, phase: Phase) -> None:
    """Its job begins a phase."""
    with attempt.fenced_session() as (session, job):
        job.phase = phase
        events.append(session, job, "phase", {"phase": phase})


def get_to(attempt: Attempt, progress: dict[str, Any]) -> None:
    """Its job is so far."""
    with attempt.fenced_session() as (_, job):
        job.progress = progress
