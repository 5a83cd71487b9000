"""Data sets: those of a project, and those without a project, which everyone may use."""

from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from core.spec.data import DatasetDescription, Reading
from core.store.ids import new_id
from core.store.pages import page
from core.store.tables import Dataset

Source = Literal["upload", "folder", "download"]


def create(
    session: Session,
    project_id: str,
    name: str,
    source: Source,
    *,
    dataset_id: str | None = None,
    status: str = "importing",
    sha256: str | None = None,
    wanted: Reading | None = None,
) -> Dataset:
    """A data set that an import job is still to open: ``importing``, or whose bytes are to be sent: ``awaiting_upload``.

    A refused one of this name makes way: it never was of use to anybody.
    Raises Conflict (code ``name_taken``) where the project can already see one of this name.
    """
    refused = (Dataset.project_id == project_id, Dataset.name == name, Dataset.status == "refused")
    session.execute(delete(Dataset).where(*refused))
    taken = Conflict(f"There already is a data set named {name!r}.", code="name_taken")
    if _find(session, project_id, name) is not None:
        raise taken
    dataset = Dataset(
        id=dataset_id or new_id("ds"), project_id=project_id, name=name, source=source, status=status, sha256=sha256
    )
    if wanted is not None:
        dataset.reading = wanted.model_dump(mode="json", exclude_none=True) or None
    try:
        with session.begin_nested():
            session.add(dataset)
    except IntegrityError as error:
        raise taken from error
    return dataset


def begin_import(
    session: Session, dataset: Dataset, import_job_id: str, *, size: int | None = None, sha256: str | None = None
) -> Dataset:
    """A job will open its bytes, wherever they are. Raises Conflict unless it was awaiting them."""
    statement = (
        update(Dataset)
        .where(Dataset.id == dataset.id, Dataset.status == "awaiting_upload")
        .values(status="importing", import_job_id=import_job_id, size=size, sha256=sha256, version=Dataset.version + 1)
        .returning(Dataset)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    found = session.scalars(statement).one_or_none()
    if found is None:
        raise Conflict(f"Data set {dataset.name!r} is not awaiting an upload.", code="not_awaiting_upload")
    return found


def get(session: Session, project_id: str, reference: str) -> Dataset:
    """By id or by name. Raises NotFound, also for another project's data set."""
    dataset = _find(session, project_id, reference)
    if dataset is None:
        raise NotFound(f"There is no data set {reference[:100]!r} in this project.")
    return dataset


def list_datasets(
    session: Session, project_id: str, *, after: str | None = None, limit: int = 50
) -> tuple[list[Dataset], str | None]:
    """One page, newest first, and the cursor of the next; None at the end. Raises Invalid for a bad cursor."""
    statement = select(Dataset).where(_visible(project_id))
    return page(session, statement, Dataset.created_at, Dataset.id, after=after, limit=limit)


def mark_ready(
    session: Session, dataset: Dataset, description: DatasetDescription, *, object_key: str, size: int, sha256: str
) -> Dataset:
    dataset.status = "ready"
    dataset.problem = None
    dataset.description = description.model_dump(mode="json")
    dataset.object_key = object_key
    dataset.size = size
    dataset.sha256 = sha256
    dataset.version += 1
    session.flush()
    return dataset


def mark_refused(session: Session, dataset: Dataset, problem: dict[str, Any]) -> Dataset:
    """``problem`` is the document that a 422 would carry: at least ``code`` and ``detail``."""
    dataset.status = "refused"
    dataset.problem = problem
    dataset.version += 1
    session.flush()
    return dataset


def describe(dataset: Dataset) -> DatasetDescription:
    """Raises Conflict where it is not known: the data set is not ready."""
    if dataset.description is None:
        raise Conflict(f"Data set {dataset.name!r} is {dataset.status}.", code="dataset_not_ready")
    return DatasetDescription.model_validate(dataset.description)


def _visible(project_id: str) -> ColumnElement[bool]:
    return or_(Dataset.project_id == project_id, Dataset.project_id.is_(None))


def _find(session: Session, project_id: str, reference: str) -> Dataset | None:
    if "\0" in reference:
        return None
    named = or_(Dataset.id == reference, Dataset.name == reference)
    found = session.scalars(select(Dataset).where(_visible(project_id), named)).all()
    return next((dataset for dataset in found if dataset.id == reference), found[0] if found else None)
