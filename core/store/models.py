"""Networks with weights: teachers that were uploaded, students that jobs made. Both can teach."""

import re
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound
from core.spec.network import ModelDescription
from core.store.ids import is_id, new_id
from core.store.pages import page
from core.store.tables import Job, Model


def create(
    session: Session,
    project_id: str,
    name: str,
    description: ModelDescription,
    *,
    model_id: str | None = None,
    status: str = "importing",
    sha256: str | None = None,
) -> Model:
    """A model whose bytes are still to be opened by an import job: ``importing``, or to be sent: ``awaiting_upload``.

    A refused one of this name makes way: it never was of use to anybody.
    Raises Conflict (code ``name_taken``) where the project has another of this name.
    """
    session.execute(delete(Model).where(Model.project_id == project_id, Model.name == name, Model.status == "refused"))
    model = Model(
        id=model_id or new_id("mdl"),
        project_id=project_id,
        name=name,
        description=description.model_dump(mode="json"),
        architecture=description.network.architecture,
        classes=description.classes,
        status=status,
        sha256=sha256,
    )
    try:
        with session.begin_nested():
            session.add(model)
    except IntegrityError as error:
        raise Conflict(f"This project already has a model named {name!r}.", code="name_taken") from error
    return model


def begin_import(session: Session, model: Model, import_job_id: str, *, size: int, sha256: str) -> Model:
    """Its bytes have arrived, and a job will open them. Raises Conflict unless it was awaiting them."""
    statement = (
        update(Model)
        .where(Model.id == model.id, Model.status == "awaiting_upload")
        .values(status="importing", import_job_id=import_job_id, size=size, sha256=sha256, version=Model.version + 1)
        .returning(Model)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    found = session.scalars(statement).one_or_none()
    if found is None:
        raise Conflict(f"Model {model.name!r} is not awaiting an upload.", code="not_awaiting_upload")
    return found


def publish(
    session: Session,
    job: Job,
    description: ModelDescription,
    *,
    object_key: str,
    size: int,
    sha256: str,
    parameters: int | None = None,
    report: dict[str, Any] | None = None,
    model_id: str | None = None,
) -> Model:
    """A job's student as a ready model. Call it inside ``Attempt.writing``, together with ``succeed``.

    Its name is made from the job's, and unique.
    """
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", job.name or f"{job.method}-{job.student}").strip("-.")[:64] or "student"
    model = create(session, job.project_id, f"{stem}-{job.id[-10:]}", description, model_id=model_id)
    model.source_job_id = job.id
    return mark_ready(
        session, model, description, object_key=object_key, size=size, sha256=sha256, parameters=parameters, report=report
    )


def get(session: Session, project_id: str, reference: str) -> Model:
    """By id or by name. Raises NotFound, also for another project's model."""
    model = _find(session, project_id, reference)
    if model is None:
        raise NotFound(f"There is no model {reference[:100]!r} in this project.")
    return model


def usable(session: Session, project_id: str, reference: str, field: str = "teacher") -> Model:
    """The ready model that a field of a job means: a model's id or name, or the id of a succeeded job for its student.

    Raises Invalid, for the field.
    """
    statement = select(Job).where(Job.id == reference, Job.project_id == project_id)
    job = session.scalars(statement).one_or_none() if is_id(reference) else None
    if job is not None and job.model_id is None:
        raise Invalid.field(field, message=f"Job {job.id} is {job.status} and has no student that could be used.")
    model = _find(session, project_id, reference if job is None else str(job.model_id))
    if model is None:
        raise Invalid.field(field, message=f"There is no model {reference[:100]!r} in this project.")
    if model.status != "ready":
        raise Invalid.field(field, message=f"Model {reference!r} cannot be used: it is {model.status}.")
    return model


def list_models(
    session: Session, project_id: str, *, after: str | None = None, limit: int = 50
) -> tuple[list[Model], str | None]:
    """One page, newest first, and the cursor of the next; None at the end. Raises Invalid for a bad cursor."""
    statement = select(Model).where(Model.project_id == project_id)
    return page(session, statement, Model.created_at, Model.id, after=after, limit=limit)


def mark_ready(
    session: Session,
    model: Model,
    description: ModelDescription,
    *,
    object_key: str,
    size: int,
    sha256: str,
    parameters: int | None = None,
    report: dict[str, Any] | None = None,
) -> Model:
    model.status = "ready"
    model.problem = None
    model.description = description.model_dump(mode="json")
    model.architecture = description.network.architecture
    model.classes = description.classes
    model.parameters = parameters
    model.report = report
    model.object_key = object_key
    model.size = size
    model.sha256 = sha256
    model.version += 1
    session.flush()
    return model


def mark_refused(session: Session, model: Model, problem: dict[str, Any]) -> Model:
    """``problem`` is the document that a 422 would carry: at least ``code`` and ``detail``."""
    model.status = "refused"
    model.problem = problem
    model.version += 1
    session.flush()
    return model


def describe(model: Model) -> ModelDescription:
    return ModelDescription.model_validate(model.description)


def _find(session: Session, project_id: str, reference: str) -> Model | None:
    if "\0" in reference:
        return None
    named = or_(Model.id == reference, Model.name == reference)
    found = session.scalars(select(Model).where(Model.project_id == project_id, named)).all()
    return next((model for model in found if model.id == reference), found[0] if found else None)
