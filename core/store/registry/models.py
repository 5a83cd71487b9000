"""Models: networks with weights, uploaded teachers and the students of jobs. Both can teach.

What they have in common with data sets is in ``uploaded_items.py``.
"""

import re
from typing import Any

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import Session

from core.errors import Invalid
from core.jobspec.network import CheckpointOptions, ModelDescription
from core.store import jobs
from core.store.database.fence import FencedSession
from core.store.database.ids import new_id
from core.store.database.tables import JobRow, ModelAliasRow, ModelRow
from core.store.registry import series as model_series
from core.store.registry import uploaded_items
from core.store.results import rows as results

SUFFIX_LENGTH = 10
"""Characters of an id that make a name of its series unique."""


def create(
    session: Session,
    project_id: str,
    name: str | None,
    description: ModelDescription,
    *,
    model_id: str | None = None,
    series: str | None = None,
    status: str = "importing",
    sha256: str | None = None,
    options: CheckpointOptions | None = None,
) -> ModelRow:
    """Insert a model that is ``importing`` or ``awaiting_upload``.

    ``series``: of which it will be a version, by default that of its name. A ``name`` of None is
    made from the series and the id. ``options``: how to read its checkpoint, where it will be
    uploaded. Raises Conflict (code ``name_taken``).
    """
    model_id = model_id or new_id("mdl")
    series = series or name or model_id
    model = ModelRow(
        id=model_id,
        project_id=project_id,
        name=name or f"{series}-{model_id[-SUFFIX_LENGTH:]}",
        series=series,
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
    """Insert the job's student as a ready model: the next version of the series of the job's name.

    Its own name is unique: that of the series and the end of the job's id. Call this in the fenced
    session in which the job succeeds.
    """
    series = _student_series(job)
    name = f"{series}-{job.id[-SUFFIX_LENGTH:]}"
    model = create(session, job.project_id, name, description, model_id=model_id, series=series)
    model.source_job_id = job.id
    results.assign_student(session, job, model.id)
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

    ``reference``: a model's id or name, ``series@version`` or ``series@alias``, or the id of a job
    that has succeeded, for its student. Raises Invalid for ``field``.
    """
    job = jobs.find(session, project_id, reference)
    if job is not None and job.model_id is None:
        raise Invalid.field(
            field, message=f"Job {job.id} is {job.status} and has no student that could be used."
        )
    model_reference = reference if job is None else str(job.model_id)
    model = uploaded_items.find(session, ModelRow, project_id, model_reference)
    if model is None:
        message = uploaded_items.not_found_message(session, ModelRow, project_id, reference)
        raise Invalid.field(field, message=message)
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
    """Record the model's stored weights and its description: the model becomes ``ready``.

    From now on it is a version of its series.
    """
    model_series.assign_version(session, model)
    model.architecture = description.network.architecture
    model.classes = description.classes
    model.parameters = parameters
    model.report = report
    return uploaded_items.mark_ready(
        session, model, description, object_key=object_key, size=size, sha256=sha256
    )


def has_series_and_alias(series: str | None, alias: str | None) -> list[ColumnElement[bool]]:
    """Return conditions: models of this series, and with this alias. None is any."""
    conditions: list[ColumnElement[bool]] = []
    if series is not None:
        conditions.append(ModelRow.series == series)
    if alias is not None:
        has_alias = (ModelAliasRow.model_id == ModelRow.id, ModelAliasRow.alias == alias)
        conditions.append(exists().where(*has_alias))
    return conditions


def describe(model: ModelRow) -> ModelDescription:
    """Return the model's description."""
    return ModelDescription.model_validate(model.description)


def _student_series(job: JobRow) -> str:
    job_name = job.name or f"{job.method}-{job.student}"
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", job_name).strip("-.")[:64] or "student"
