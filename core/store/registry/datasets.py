"""Data sets: those of a project, and those without a project, which all projects share.

What they have in common with models is in ``uploaded_items.py``.
"""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy.orm import Session

from core.errors import Conflict
from core.jobspec.data import DatasetDescription, ImportOptions
from core.store.database.fence import FencedSession
from core.store.database.ids import new_id
from core.store.database.tables import DatasetRow
from core.store.registry import thumbnails, uploaded_items
from core.store.registry.thumbnails import StoredSheet

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
    import_options: ImportOptions | None = None,
) -> DatasetRow:
    """Insert a data set that is ``importing`` or ``awaiting_upload``.

    ``import_options``: how to read the files, where the caller gave it.
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
    if import_options is not None:
        dataset.reading = import_options.model_dump(mode="json", exclude_none=True) or None
    return uploaded_items.add(session, dataset)


def mark_ready(
    session: FencedSession,
    dataset: DatasetRow,
    description: DatasetDescription,
    *,
    report: dict[str, Any],
    object_key: str,
    size: int,
    sha256: str,
    sheets: Sequence[StoredSheet] = (),
) -> DatasetRow:
    """Record the stored images, their description and the import's report: it becomes ``ready``."""
    dataset.report = report
    thumbnails.record(session, dataset, sheets)
    return uploaded_items.mark_ready(
        session, dataset, description, object_key=object_key, size=size, sha256=sha256
    )


def describe(dataset: DatasetRow) -> DatasetDescription:
    """Return its description. Raises Conflict where the data set is not ready and has none yet."""
    if dataset.description is None:
        raise Conflict(f"Data set {dataset.name!r} is {dataset.status}.", code="dataset_not_ready")
    return DatasetDescription.model_validate(dataset.description)
