"""Data sets: those of a project, and those without a project, which everyone may use."""

from typing import Literal

from sqlalchemy.orm import Session

from core.errors import Conflict
from core.jobspec.data import DatasetDescription, Reading
from core.store.database.ids import new_id
from core.store.database.tables import DatasetRow
from core.store.uploaded_items import UploadedItems

Source = Literal["upload", "folder", "download"]


library = UploadedItems(DatasetRow, "data set")
get, list_datasets, begin_import = library.get, library.page, library.begin_import
mark_ready, mark_refused, delete, restore = (
    library.make_ready,
    library.mark_refused,
    library.delete,
    library.restore,
)


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
) -> DatasetRow:
    """A data set that an import job is still to open: ``importing``, or whose bytes are to be sent: ``awaiting_upload``.

    Raises Conflict (code ``name_taken``).
    """
    dataset = DatasetRow(
        id=dataset_id or new_id("ds"),
        project_id=project_id,
        name=name,
        source=source,
        status=status,
        sha256=sha256,
    )
    if wanted is not None:
        dataset.reading = wanted.model_dump(mode="json", exclude_none=True) or None
    return library.add(session, dataset)


def describe(dataset: DatasetRow) -> DatasetDescription:
    """Raises Conflict where it is not known: the data set is not ready."""
    if dataset.description is None:
        raise Conflict(f"Data set {dataset.name!r} is {dataset.status}.", code="dataset_not_ready")
    return DatasetDescription.model_validate(dataset.description)
