"""Networks with weights: teachers that were uploaded, students that jobs made. Both can teach."""

import re
from typing import Any

from sqlalchemy.orm import Session

from core.errors import Invalid
from core.jobspec.network import ModelDescription
from core.store import jobs
from core.store.database.fence import FencedSession
from core.store.database.ids import new_id
from core.store.database.tables import JobRow, ModelRow
from core.store.uploaded_items import UploadedItems

library = UploadedItems(ModelRow, "model")
get, list_models, begin_import = library.get, library.page, library.begin_import
mark_refused, delete, restore = library.mark_refused, library.delete, library.restore


def create(
    session: Session,
    project_id: str,
    name: str,
    description: ModelDescription,
    *,
    model_id: str | None = None,
    status: str = "importing",
    sha256: str | None = None,
) -> ModelRow:
    """A model whose bytes are still to be opened by an import job: ``importing``, or to be sent: ``awaiting_upload``.

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
    return library.add(session, model)


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
    """A job's student as a ready model. Call it inside ``Attempt.writing``, together with ``succeed``.

    Its name is made from the job's, and unique.
    """
    stem = (
        re.sub(r"[^A-Za-z0-9_.-]+", "-", job.name or f"{job.method}-{job.student}").strip("-.")[:64]
        or "student"
    )
    model = create(
        session, job.project_id, f"{stem}-{job.id[-10:]}", description, model_id=model_id
    )
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


def usable(session: Session, project_id: str, reference: str, field: str = "teacher") -> ModelRow:
    """The ready model that a field of a job means: a model's id or name, or the id of a succeeded job for its student.

    Raises Invalid, for the field.
    """
    job = jobs.find(session, project_id, reference)
    if job is not None and job.model_id is None:
        raise Invalid.field(
            field, message=f"Job {job.id} is {job.status} and has no student that could be used."
        )
    model = library.find(session, project_id, reference if job is None else str(job.model_id))
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
    model.architecture = description.network.architecture
    model.classes = description.classes
    model.parameters = parameters
    model.report = report
    return library.make_ready(
        session, model, description, object_key=object_key, size=size, sha256=sha256
    )


def describe(model: ModelRow) -> ModelDescription:
    return ModelDescription.model_validate(model.description)
