"""From what a caller sent to a job that a worker can carry out, or to every reason why none could."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from api.http.idempotency import Once
from api.http.validation import invalid_body
from core import queue
from core.errors import FieldError, Invalid, NotFound
from core.jobspec import compatibility, defaults
from core.jobspec.data import DatasetDescription
from core.jobspec.job import (
    DistillationSpec,
    EvaluationJobSpec,
    ImportDatasetSpec,
    ImportModelSpec,
    SubmittedSpec,
    TrainingSpec,
    parse_submitted,
)
from core.jobspec.resolved import ResolvedSpec
from core.settings import Settings
from core.store import datasets, jobs, models
from core.store.database import tables


@dataclass(frozen=True)
class PreparedJob:
    """A job that fits together, fully resolved."""

    spec: ResolvedSpec
    dataset_id: str
    teacher_id: str | None
    description: DatasetDescription


def validate_spec(body: dict[str, Any]) -> SubmittedSpec:
    """A body that no endpoint has checked yet, as a spec. Raises Invalid with the fields that are wrong, as they are in it."""
    try:
        return parse_submitted(body)
    except ValidationError as error:
        raise invalid_body(error.errors(include_url=False), body) from error


def prepare_job(session: Session, project_id: str, spec: SubmittedSpec) -> PreparedJob:
    """Look up what the spec names and check that all of it fits. Raises Invalid with every field that is wrong."""
    wrong: list[FieldError] = []
    found = InputResolver(session, project_id, wrong)
    dataset = found.dataset(spec.data.dataset, ("data", "dataset"))
    description = None if dataset is None else datasets.describe(dataset)
    if isinstance(spec, EvaluationJobSpec):
        spec, teacher_id = _prepare_evaluation(found, spec, description)
    else:
        spec, teacher_id = _prepare_training(found, spec, description)
    if wrong or dataset is None or description is None:
        raise Invalid(
            "This job could not run: " + " ".join(error.message for error in wrong),
            wrong,
            code="job_cannot_run",
        )
    return PreparedJob(defaults.resolve(spec, description), dataset.id, teacher_id, description)


class InputResolver:
    """What a spec names, by the project's rows; what is not there, or not ready, is added to ``wrong``."""

    def __init__(self, session: Session, project_id: str, wrong: list[FieldError]) -> None:
        self.session, self.project_id, self.wrong = session, project_id, wrong

    def dataset(self, name: str, path: tuple[str, ...]) -> tables.DatasetRow | None:
        try:
            row = datasets.get(self.session, self.project_id, name)
        except NotFound as error:
            self.wrong.append(FieldError(path, error.message))
            return None
        if row.status != "ready":
            message = f"Data set {row.name!r} cannot be used: it is {row.status.replace('_', ' ')}."
            self.wrong.append(FieldError(path, message))
            return None
        return row

    def model(self, name: str | None, field: str) -> tables.ModelRow | None:
        if name is None:
            return None
        try:
            return models.usable(self.session, self.project_id, name, field)
        except Invalid as error:
            self.wrong += error.errors
            return None


def _prepare_training(
    found: InputResolver, spec: TrainingSpec, dataset: DatasetDescription | None
) -> tuple[TrainingSpec, str | None]:
    """The spec with the ids of what it names beside teacher and data set, and the teacher's id."""
    teacher = found.model(spec.teacher, "teacher") if isinstance(spec, DistillationSpec) else None
    start = found.model(spec.start_from, "start_from")
    extra = (
        None
        if spec.data.extra is None
        else found.dataset(spec.data.extra.dataset, ("data", "extra", "dataset"))
    )
    if dataset is not None:
        found.wrong += compatibility.problems(
            spec, dataset, None if teacher is None else models.describe(teacher)
        )
        if start is not None:
            found.wrong += compatibility.start_misfits(spec, dataset, models.describe(start))
        if extra is not None:
            found.wrong += compatibility.extra_misfits(
                spec.data.dataset, dataset, extra.name, datasets.describe(extra)
            )
    if extra is not None and spec.data.extra is not None:
        named = spec.data.extra.model_copy(update={"dataset": extra.id})
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"extra": named})})
    if start is not None:
        spec = spec.model_copy(update={"start_from": start.id})
    return spec, None if teacher is None else teacher.id


def _prepare_evaluation(
    found: InputResolver, spec: EvaluationJobSpec, dataset: DatasetDescription | None
) -> tuple[EvaluationJobSpec, str | None]:
    """The spec with the model's id, and the reference's id."""
    model, reference = found.model(spec.model, "model"), found.model(spec.reference, "reference")
    if dataset is not None:
        for row, field in ((model, "model"), (reference, "reference")):
            if row is not None:
                found.wrong += compatibility.model_misfits(
                    spec.data.dataset, dataset, models.describe(row), (field,)
                )
        found.wrong += compatibility.test_misfits(spec.data.dataset, dataset)
    found.wrong += compatibility.evaluation_misfits(
        spec.evaluation, spec.radius, spec.reference is not None
    )
    if model is not None:
        spec = spec.model_copy(update={"model": model.id})
    return spec, None if reference is None else reference.id


def submit(
    session: Session, once: Once, settings: Settings, project_id: str, spec: SubmittedSpec
) -> tables.JobRow:
    """Checked and queued."""
    return queue_job(session, once, settings, project_id, prepare_job(session, project_id, spec))


def queue_job(
    session: Session,
    once: Once,
    settings: Settings,
    project_id: str,
    ready: PreparedJob,
    place: jobs.SweepPosition | None = None,
) -> tables.JobRow:
    """A queued job; the workers hear of it after the commit."""
    job = jobs.submit(
        session,
        project_id,
        ready.spec,
        dataset_id=ready.dataset_id,
        teacher_id=ready.teacher_id,
        position=place,
    )
    once.afterwards(partial(queue.wake_workers, settings, job.id))
    return job


def submit_import(
    session: Session, project_id: str, spec: ImportModelSpec | ImportDatasetSpec, name: str
) -> tables.JobRow:
    """The job that opens an upload, in the transaction of the row that it is for. Hint after the commit."""
    return jobs.submit(session, project_id, spec, name=f"import {name}")
