"""How much a project stores, by kind, as its rows say."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    String,
    case,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import Session

from core.store.database.engine import read_session
from core.store.database.tables import (
    ArtifactRow,
    DatasetRow,
    JobRow,
    LogRow,
    ModelRow,
    ThumbnailSheetRow,
)

CHUNK_ROWS = 20_000
"""Rows that one statement adds up: a project of a million jobs takes many short ones."""
KINDS = (
    "weights",
    "checkpoint",
    "report",
    "figure",
    "export",
    "log",
    "model",
    "dataset",
    "thumbnails",
    "upload",
)
"""Those of a job's files; models, data sets and their thumbnails; uploads not yet imported."""
OwnedTable = type[JobRow] | type[ModelRow] | type[DatasetRow]
Totals = Select[Any, Any, Any, Any]
"""A statement for rows (kind, whether they are deleted, files, bytes)."""


@dataclass(frozen=True)
class Total:
    """Number and size of some stored files."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Total") -> "Total":
        return Total(self.files + other.files, self.bytes + other.bytes)


@dataclass(frozen=True)
class StorageTotals:
    """What a project stores."""

    kinds: dict[str, Total]
    """By kind, the files of what is not deleted."""
    deleted: Total
    """Files of deleted jobs, models and data sets, which can still be restored."""

    @property
    def total(self) -> Total:
        return sum(self.kinds.values(), self.deleted)


def add_up(engine: Engine, project_id: str) -> StorageTotals:
    """Return the totals of a project. The weights of a student count as its job's, once."""
    kinds: defaultdict[str, Total] = defaultdict(Total, dict.fromkeys(KINDS, Total()))
    deleted = Total()
    for table, statement in _statements():
        for condition in _chunks(engine, table, project_id):
            with read_session(engine) as session:
                rows = session.execute(statement.where(*condition)).all()
            for kind, is_deleted, files, size in rows:
                total = Total(files, int(size or 0))
                if is_deleted:
                    deleted += total
                else:
                    kinds[kind] += total
    return StorageTotals(dict(kinds), deleted)


def _chunks(
    engine: Engine, table: OwnedTable, project_id: str
) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Yield conditions that part the project's rows of a table, CHUNK_ROWS each, by their ids."""
    after = ""
    while True:
        with read_session(engine) as session:
            last = _last_of_chunk(session, table, project_id, after)
        is_own = (table.project_id == project_id, table.id > after)
        if last is None:
            yield is_own
            return
        yield (*is_own, table.id <= last)
        after = last


def _last_of_chunk(session: Session, table: OwnedTable, project_id: str, after: str) -> str | None:
    statement = (
        select(table.id)
        .where(table.project_id == project_id, table.id > after)
        .order_by(table.id)
        .offset(CHUNK_ROWS - 1)
        .limit(1)
    )
    return session.scalars(statement).first()


def _statements() -> tuple[tuple[OwnedTable, Totals], ...]:
    """Return statements, with the table to whose rows each is to be limited."""
    return (
        (JobRow, _artifacts()),
        (JobRow, _owned_files("log", LogRow, JobRow, LogRow.job_id == JobRow.id)),
        (ModelRow, _models()),
        (DatasetRow, _stored(DatasetRow, "dataset")),
        (
            DatasetRow,
            _owned_files(
                "thumbnails",
                ThumbnailSheetRow,
                DatasetRow,
                ThumbnailSheetRow.dataset_id == DatasetRow.id,
            ),
        ),
    )


def _artifacts() -> Totals:
    is_deleted = JobRow.deleted_at.is_not(None)
    return (
        select(ArtifactRow.kind, is_deleted, func.count(), func.sum(ArtifactRow.size))
        .join(JobRow, JobRow.id == ArtifactRow.job_id)
        .group_by(ArtifactRow.kind, is_deleted)
    )


def _owned_files(
    kind: str,
    files: type[LogRow] | type[ThumbnailSheetRow],
    owners: type[JobRow] | type[DatasetRow],
    is_owner: ColumnElement[bool],
) -> Totals:
    """Select files in a table of their own."""
    is_deleted = owners.deleted_at.is_not(None)
    return (
        select(_text(kind), is_deleted, func.count(), func.sum(files.size))
        .join(owners, is_owner)
        .where(files.object_key.is_not(None))
        .group_by(is_deleted)
    )


def _models() -> Totals:
    is_of_job = exists().where(ArtifactRow.object_key == ModelRow.object_key)
    return _stored(ModelRow, "model").where(~is_of_job)


def _stored(table: type[ModelRow] | type[DatasetRow], kind: str) -> Totals:
    """Select rows with a file: their size is that of the upload until it is imported."""
    row_kind = case((table.status == "ready", _text(kind)), else_=_text("upload"))
    is_deleted = table.deleted_at.is_not(None)
    return (
        select(row_kind, is_deleted, func.count(), func.sum(table.size))
        .where(table.size.is_not(None), table.status != "refused")
        .group_by(row_kind, is_deleted)
    )


def _text(kind: str) -> ColumnElement[str]:
    """Return a constant of the statement's text: Postgres cannot group by a parameter."""
    return literal_column(f"'{kind}'", String)
