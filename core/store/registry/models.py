"""Models: networks with weights, uploaded teachers and the students of jobs. Both can teach.

What they have in common with data sets is in ``uploaded_items.py``.
"""

import re
from typing import Any

from sqlalchemy.orm import Session

from core.errors import Invalid
from core.jobspec.network import CheckpointOptions, ModelDescription
from core.store import jobs
from core.store.database.fence import FencedSession
from core.store.database.ids import new_id
from core.store.database.tables import JobRow, ModelRow
from core.store.registry import uploaded_items


def create(
    session: Session,
    project_id: str,
    name: str,
    description: ModelDescription,
    *,
    model_id: str | None = None,
    status: str = "importing",
    sha256: str | None = None,
    options: CheckpointOptions | None = None,
) -> ModelRow:
    """Insert a model that is ``importing`` or ``awaiting_upload``.

    ``options``: how to read its checkpoint, where it will be uploaded.
    Raises Conflict (code ``name_taken``).
    """
    model = ModelRow(
        id=model_id or new_id("mdl"),
        project_id=project_id,
        name=name,
        description=description.model_dump(mode="json"),
        architecture=description.network.architecture,
        classes=description.classes,
        status=status,
        sha256=sha256,
    )
    if options is not None:
        model.reading = options.model_dump(mode="json", exclude_defaults=True) or None
    return uploaded_items.add(session, model)


def publish(
    session: FencedSession,
    job: JobRow,
    description: ModelDescription,
    *,
    object_key: str,
    size: int,
    sha256: str,
    parameters: int | None = None,
    report: dict[str, Any] | None = None,
    model_id: str | None = None,
) -> ModelRow:
    """Insert the job's student as a ready model, with a unique name that begins with the job's.

    Call this in the fenced session in which the job succeeds.
    """
    model = create(session, job.project_id, _student_name(job), description, model_id=model_id)
    model.source_job_id = job.id
    return mark_ready(
        session,
        model,
        description,
        object_key=object_key,
        size=size,
        sha256=sha256,
        parameters=parameters,
        report=report,
    )


def find_usable(
    session: Session, project_id: str, reference: str, field: str = "teacher"
) -> ModelRow:
    """Return the ready model that a job's field refers to.

    ``reference``: a model's id or name, or the id of a job that has succeeded, for its student.
    Raises Invalid for ``field``.
    """
    job = jobs.find(session, project_id, reference)
    if job is not None and job.model_id is None:
        raise Invalid.field(
            field, message=f"Job {job.id} is {job.status} and has no student that could be used."
        )
    model_reference = reference if job is None else str(job.model_id)
    model = uploaded_items.find(session, ModelRow, project_id, model_reference)
    if model is None:
        raise Invalid.field(
            field, message=f"There is no model {reference[:100]!r} in this project."
        )
    if model.status != "ready":
        raise Invalid.field(
            field, message=f"Model {reference!r} cannot be used: it is {model.status}."
        )
    return model


def mark_ready(
    session: FencedSession,
    model: ModelRow,
    description: ModelDescription,
    *,
    object_key: str,
    size: int,
    sha256: str,
    parameters: int | None = None,
    report: dict[str, Any] | None = None,
) -> ModelRow:
    """Record the model's stored weights and its description: the model becomes ``ready``."""
    model.architecture = description.network.architecture
    model.classes = description.classes
    model.parameters = parameters
    model.report = report
    return uploaded_items.mark_ready(
        session, model, description, object_key=object_key, size=size, sha256=sha256
    )


def describe(model: ModelRow) -> ModelDescription:
    """Return the model's description."""
    return ModelDescription.model_validate(model.description)


def _student_name(job: JobRow) -> str:
    job_name = job.name or f"{job.method}-{job.student}"
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", job_name).strip("-.")[:64]
    return f"{stem or 'student'}-{job.id[-10:]}"
