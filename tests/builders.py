"""Builders with defaults: a test states only what matters. Digits, a small CNN, one epoch."""

from typing import Any

from sqlalchemy import Engine, and_, select, update

from core.errors import JobFailed
from core.jobspec.data import DIGITS, DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import (
    AdversarialTrainingSpec,
    DistillationSpec,
    ImportDatasetSpec,
    ImportModelSpec,
)
from core.jobspec.network import ModelDescription, SmallCnn
from core.jobspec.resolved import ResolvedAdversarialTrainingSpec, ResolvedDistillationSpec
from core.jobspec.status import Phase
from core.reportspec.measures import describe
from core.reportspec.report import Report
from core.store import attempts, events, jobs
from core.store.attempts import Attempt
from core.store.database.engine import transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import (
    DEFAULT_PROJECT,
    DIGITS_ID,
    DatasetRow,
    JobRow,
    ModelRow,
)
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.objects.store import Objects, artifact_key
from core.store.registry import models, uploaded_items
from core.store.registry.uploaded_items import Row

SHA256 = "0" * 64
FAR_FUTURE = 2**50
"""In milliseconds since the epoch."""


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
    """A training job's JSON body; ``changes`` replace top-level fields."""
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


NETWORK_FACTS = {
    "description": model_description().model_dump(mode="json"),
    "parameters": 100,
    "best_epoch": 1,
}
ENVIRONMENT = {
    "python": "3.11",
    "platform": "Linux",
    "packages": {},
    "device": "cpu",
    "hardware": "a CPU",
    "threads": 1,
}


def report_json(**changes: Any) -> dict[str, Any]:
    """The JSON of a training job's report; ``changes`` replace top-level fields."""
    report = Report.model_validate(
        {
            "schema": "distill-report-3",
            "kind": "adversarial_training",
            "results": {
                "best": {
                    "clean": {
                        "measure": describe("clean"),
                        "value": 0.5,
                        "seconds": 1.0,
                        "images": 64,
                        "interval": [0.38, 0.62],
                    }
                }
            },
            "threat_model": {"norm": "linf", "radius": 0.1, "title": "L∞, 0.1"},
            "warnings": [],
            "network": NETWORK_FACTS,
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
            "environment": ENVIRONMENT,
            "spec": training_spec().model_dump(mode="json"),
            **changes,
        }
    )
    return report.as_json()


def create_job(engine: Engine, project_id: str = DEFAULT_PROJECT, **changes: Any) -> JobRow:
    """A queued training job; ``changes`` are those of ``training_spec``."""
    with write_session(engine) as session:
        return jobs.submit(session, project_id, training_spec(**changes), dataset_id=DIGITS_ID)


def create_attempt(
    engine: Engine,
    job: JobRow | None = None,
    *,
    worker: str = "worker-1",
    lease_seconds: float = 30.0,
) -> Attempt:
    """Claim a job and return its attempt."""
    attempt = claim_job(engine, (job or create_job(engine)).id, worker, lease_seconds)
    assert attempt is not None
    return attempt


def claim_job(
    engine: Engine, job_id: str, worker: str = "worker-1", lease_seconds: float = 30.0
) -> Attempt | None:
    """Claim this job as a worker claims the oldest: the others are held back meanwhile.

    Return None where no worker could claim it.
    """
    is_other = and_(JobRow.status == "queued", JobRow.id != job_id)
    with write_session(engine) as session:
        others = session.execute(select(JobRow.id, JobRow.not_before).where(is_other)).all()
        session.execute(update(JobRow).where(is_other).values(not_before=FAR_FUTURE))
    attempt = attempts.claim(engine, worker, lease_seconds)
    with write_session(engine) as session:
        for other_id, not_before in others:
            statement = update(JobRow).where(JobRow.id == other_id).values(not_before=not_before)
            session.execute(statement)
    return attempt


def create_teacher(
    engine: Engine, name: str = "teacher", project_id: str = DEFAULT_PROJECT, **changes: Any
) -> ModelRow:
    """A ready model whose weights are not stored; ``changes`` are to its description."""
    description = model_description(**changes)
    with transaction(engine, FencedSession) as session:
        model = models.create(session, project_id, name, description)
        return models.mark_ready(
            session,
            model,
            description,
            object_key=weights_key(model.id),
            size=1,
            sha256=SHA256,
            parameters=100,
        )


def refuse_upload(
    engine: Engine,
    row: Row,
    code: str = "unsafe_checkpoint",
    message: str = "It is a pickle.",
) -> None:
    """Refuse the upload that ``row`` awaits: its import job fails, which refuses the row."""
    with write_session(engine) as session:
        job = jobs.submit(session, row.project_id or "", _import_spec(row))
        uploaded_items.begin_import(session, row, job.id)
    with create_attempt(engine, job).fenced_session() as (fenced_session, running):
        apply_retry_policy(fenced_session, running, JobFailed(code, "user", message), RetryPolicy())


def _import_spec(row: ModelRow | DatasetRow) -> ImportModelSpec | ImportDatasetSpec:
    if isinstance(row, ModelRow):
        return ImportModelSpec(model_id=row.id, description=models.describe(row))
    return ImportDatasetSpec(dataset_id=row.id, source="upload")


def weights_key(owner_id: str) -> str:
    """Where tests store the object of a model or data set that no job made."""
    return artifact_key(owner_id, 0, "best.safetensors")


def stored_keys(objects: Objects, folder: str) -> list[str]:
    """Every key in the folder, sorted."""
    return sorted(stored.key for stored in objects.list_objects(folder))


def start_phase(attempt: Attempt, phase: Phase) -> None:
    """Record that the attempt's job starts a phase."""
    with attempt.fenced_session() as (session, job):
        job.phase = phase
        events.append(session, job, "phase", {"phase": phase})


def set_progress(attempt: Attempt, progress: dict[str, Any]) -> None:
    """Record the progress of the attempt's job."""
    with attempt.fenced_session() as (_, job):
        job.progress = progress
