"""From what a caller sent to a job that a worker can carry out, or to every reason why none could."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from api import schemas
from api.once import Once
from core import queue
from core.errors import FieldError, Invalid, NotFound
from core.settings import Settings
from core.spec import fit
from core.spec.adversary import Pgd
from core.spec.data import DatasetDescription
from core.spec.evaluation import SELECTION_STEPS
from core.spec.job import AdversarialTraining, Distillation, ImportDataset, ImportModel, TrainingJob
from core.spec.method import Arkd, PgdAt
from core.spec.starship import Starship
from core.spec.network import ARCHITECTURES
from core.store import datasets, jobs, models, tables

COPIES_IN_CHECKPOINT = 3
"""Student, best student so far, momentum: each as large as the network."""


@dataclass(frozen=True)
class Prepared:
    """A job that fits together, fully resolved."""

    spec: TrainingJob
    dataset_id: str
    teacher_id: str | None
    description: DatasetDescription


def prepare(session: Session, project_id: str, spec: AdversarialTraining | Distillation) -> Prepared:
    """Look up what the spec names and check that all of it fits. Raises Invalid with every field that is wrong."""
    wrong: list[FieldError] = []
    dataset = _dataset(session, project_id, spec, wrong)
    teacher = _teacher(session, project_id, spec, wrong)
    description = None if dataset is None else datasets.describe(dataset)
    if description is not None:
        wrong += fit.misfits(spec, description, None if teacher is None else models.describe(teacher))
    if wrong or dataset is None or description is None:
        raise Invalid("This job could not run: " + " ".join(error.message for error in wrong), wrong, code="job_cannot_run")
    return Prepared(fit.resolve(spec, description), dataset.id, None if teacher is None else teacher.id, description)


def submit(
    session: Session, once: Once, settings: Settings, project_id: str, spec: AdversarialTraining | Distillation
) -> tables.Job:
    """A queued job; the workers hear of it after the commit."""
    ready = prepare(session, project_id, spec)
    job = jobs.submit(session, project_id, ready.spec, dataset_id=ready.dataset_id, teacher_id=ready.teacher_id)
    once.afterwards(partial(queue.hint, settings, job.id))
    return job


def submit_import(session: Session, project_id: str, spec: ImportModel | ImportDataset, name: str) -> tables.Job:
    """The job that opens an upload, in the transaction of the row that it is for. Hint after the commit."""
    return jobs.submit(session, project_id, spec, name=f"import {name}")


def _dataset(session: Session, project_id: str, spec: TrainingJob, wrong: list[FieldError]) -> tables.Dataset | None:
    path = ("data", "dataset")
    try:
        row = datasets.get(session, project_id, spec.data.dataset)
    except NotFound as error:
        wrong.append(FieldError(path, error.message))
        return None
    if row.status != "ready":
        wrong.append(FieldError(path, f"Data set {row.name!r} cannot be used: it is {row.status.replace('_', ' ')}."))
        return None
    return row


def _teacher(session: Session, project_id: str, spec: TrainingJob, wrong: list[FieldError]) -> tables.Model | None:
    if not isinstance(spec, Distillation):
        return None
    try:
        return models.teacher(session, project_id, spec.teacher)
    except Invalid as error:
        wrong += error.errors
        return None


def estimate(ready: Prepared) -> schemas.Estimate:
    """What the job will cost, as far as its spec tells."""
    spec, data = ready.spec, ready.description
    steps = fit.steps_per_epoch(spec, data)
    parameters = ARCHITECTURES[spec.student.architecture].parameters(data.classes)
    held_out = fit.held_out_images(spec, data)
    test_images = min(spec.evaluation.limit or data.test_images, data.test_images)
    return schemas.Estimate(
        steps_per_epoch=steps,
        steps=steps * spec.schedule.epochs,
        training_images=min(spec.data.limit or data.train_images, data.train_images) - held_out,
        held_out_images=held_out,
        test_images=test_images,
        student_parameters=parameters,
        checkpoint_bytes=None if parameters is None else parameters * 4 * COPIES_IN_CHECKPOINT,
        network_passes=_training_passes(spec, steps) + _selection_passes(spec, held_out) + _final_passes(spec, test_images),
    )


def _training_passes(spec: TrainingJob, steps_per_epoch: int) -> int:
    method: Any = spec.method
    adversary = spec.adversary.steps if isinstance(spec.adversary, Pgd) else 1
    if isinstance(method, Starship | Arkd):
        # The adversary's target is the teacher's clean answer; then both networks see clean and adversarial images.
        passes = 1 + adversary * (2 if method.adaptive else 1) + 4
    else:
        passes = adversary + (1 if isinstance(method, PgdAt) else 3)
    return passes * spec.schedule.epochs * steps_per_epoch * spec.schedule.batch_size


def _selection_passes(spec: TrainingJob, held_out: int) -> int:
    times = -(-spec.schedule.epochs // spec.evaluation.every_epochs)
    return times * held_out * (SELECTION_STEPS + 2)


def _final_passes(spec: TrainingJob, test_images: int) -> int:
    attacks = sum(attack.steps * getattr(attack, "restarts", 1) + 1 for attack in spec.evaluation.attacks)
    return 2 * test_images * (1 + attacks)
