"""References to stored objects: an object is needed while any row, even a deleted one, names it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Engine, inspect, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.store.database.engine import read_session
from core.store.database.tables import (
    ArtifactRow,
    DatasetRow,
    LogRow,
    ModelRow,
    ThumbnailSheetRow,
)
from core.store.objects.store import upload_key

PAGE_ROWS = 500
ObjectTable = (
    type[ArtifactRow] | type[LogRow] | type[ModelRow] | type[DatasetRow] | type[ThumbnailSheetRow]
)
OBJECT_TABLES: tuple[ObjectTable, ...] = (
    ArtifactRow,
    LogRow,
    ModelRow,
    DatasetRow,
    ThumbnailSheetRow,
)
"""Tables with a column ``object_key``."""
UPLOAD_TABLES: tuple[type[ModelRow] | type[DatasetRow], ...] = (ModelRow, DatasetRow)
UPLOAD_STATUSES = ("awaiting_upload", "importing")
"""While a row has one of these, its ``upload_key`` is needed as well."""


@dataclass(frozen=True, order=True)
class ReferencedObject:
    """A stored object as the database describes it. ``size`` is in bytes."""

    key: str
    size: int
    sha256: str


def referenced_keys(session: Session, keys: Collection[str]) -> set[str]:
    """Return those of the keys that an artifact, a log, a model, a data set or an upload needs."""
    referenced: set[str] = set()
    for table in OBJECT_TABLES:
        statement = select(table.object_key).where(table.object_key.in_(keys))
        referenced.update(key for key in session.scalars(statement) if key)
    owner_ids = {parts[1] for key in keys if len(parts := key.split("/")) > 2}
    for owner in UPLOAD_TABLES:
        has_upload = (owner.id.in_(owner_ids), owner.status.in_(UPLOAD_STATUSES))
        row_ids = session.scalars(select(owner.id).where(*has_upload))
        upload_keys = {upload_key(row_id) for row_id in row_ids}
        referenced.update(upload_keys & set(keys))
    return referenced


def list_files(engine: Engine) -> Iterator[ReferencedObject]:
    """Yield every referenced object once, with one page of them in memory at a time.

    The database may be a backup that an earlier version made.
    """
    with read_session(engine) as session:
        names = set(inspect(session.connection()).get_table_names())
    tables = [table for table in OBJECT_TABLES if table.__tablename__ in names]
    last_key = ""
    while page := _list_objects(engine, tables, last_key):
        yield from page
        last_key = page[-1].key
    for table in UPLOAD_TABLES:
        last_id = ""
        while uploads := _list_uploads(engine, table, last_id):
            for row_id, size, sha256 in uploads:
                yield ReferencedObject(upload_key(row_id), size, sha256)
            last_id = uploads[-1][0]


def _list_objects(
    engine: Engine, tables: Sequence[ObjectTable], after_key: str
) -> list[ReferencedObject]:
    """Return the next page of objects, sorted by key.

    A student's object is named by its model and by an artifact of its job; it is returned once.
    """
    with read_session(engine) as session:
        rows = chain.from_iterable(
            _select_rows(session, table, table.object_key, table.object_key > after_key)
            for table in tables
        )
        return sorted({ReferencedObject(*row) for row in rows})[:PAGE_ROWS]


def _list_uploads(
    engine: Engine, table: type[ModelRow] | type[DatasetRow], after_id: str
) -> list[tuple[Any, ...]]:
    """Return (id, size, SHA-256) of the next rows whose upload is complete."""
    is_complete = (
        table.status == "importing",
        table.sha256.is_not(None),
        table.size.is_not(None),
    )
    with read_session(engine) as session:
        return _select_rows(session, table, table.id, *is_complete, table.id > after_id)


def _select_rows(
    session: Session,
    table: ObjectTable,
    sort_column: InstrumentedAttribute[Any],
    *conditions: ColumnElement[bool],
) -> list[tuple[Any, ...]]:
    """Return (sort column, size, SHA-256) of one page of rows."""
    statement = (
        select(sort_column, table.size, table.sha256)
        .where(*conditions)
        .order_by(sort_column)
        .limit(PAGE_ROWS)
    )
    return [tuple(row) for row in session.execute(statement)]
