"""Stored files as rows name them: an object is needed as long as any row, also a deleted one, has its key."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.store.database.engine import read_session
from core.store.database.tables import ArtifactRow, DatasetRow, ModelRow
from core.store.objects.store import upload_key

PAGE_ROWS = 500
TABLES: tuple[type[ArtifactRow] | type[ModelRow] | type[DatasetRow], ...] = (
    ArtifactRow,
    ModelRow,
    DatasetRow,
)
UPLOAD_TABLES: tuple[type[ModelRow] | type[DatasetRow], ...] = (ModelRow, DatasetRow)
UPLOAD_STATUSES = ("awaiting_upload", "importing")


@dataclass(frozen=True, order=True)
class StoredFile:
    """What the database says of an object. ``size`` in bytes."""

    key: str
    size: int
    sha256: str


def referenced_keys(session: Session, keys: Collection[str]) -> set[str]:
    """Those of the keys that some row names: of an artifact, a model, a data set, or an upload that is awaited or imported."""
    found: set[str] = set()
    for table in TABLES:
        found.update(
            key
            for key in session.scalars(select(table.object_key).where(table.object_key.in_(keys)))
            if key
        )
    owners = {parts[1] for key in keys if len(parts := key.split("/")) > 2}
    for owner in UPLOAD_TABLES:
        awaited = select(owner.id).where(owner.id.in_(owners), owner.status.in_(UPLOAD_STATUSES))
        found.update({upload_key(row_id) for row_id in session.scalars(awaited)} & set(keys))
    return found


def list_files(engine: Engine) -> Iterator[StoredFile]:
    """Every file that a row names, each once, a page of them in memory at a time."""
    last = ""
    while page := _page(engine, last):
        yield from page
        last = page[-1].key
    for table in UPLOAD_TABLES:
        last = ""
        while uploads := _uploads(engine, table, last):
            yield from (StoredFile(upload_key(row_id), size, sha256) for row_id, size, sha256 in uploads)
            last = uploads[-1][0]


def _page(engine: Engine, after: str) -> list[StoredFile]:
    """The next ones by key: a student's is a file of its job, too."""
    with read_session(engine) as session:
        found = chain.from_iterable(
            _rows(session, table.object_key, table, table.object_key > after) for table in TABLES
        )
        return sorted({StoredFile(*row) for row in found})[:PAGE_ROWS]


def _uploads(
    engine: Engine, table: type[ModelRow] | type[DatasetRow], after: str
) -> list[tuple[Any, ...]]:
    with read_session(engine) as session:
        sent = (
            table.status == "importing",
            table.sha256.is_not(None),
            table.size.is_not(None),
            table.id > after,
        )
        return _rows(session, table.id, table, *sent)


def _rows(
    session: Session,
    order: InstrumentedAttribute[Any],
    table: type[ArtifactRow] | type[ModelRow] | type[DatasetRow],
    *conditions: ColumnElement[bool],
) -> list[tuple[Any, ...]]:
    statement = (
        select(order, table.size, table.sha256).where(*conditions).order_by(order).limit(PAGE_ROWS)
    )
    return [tuple(row) for row in session.execute(statement)]
