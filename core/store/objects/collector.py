"""Removes what nobody can want any more: deleted things whose time is over, uploads that never came, objects that no row names.

Rows go first, then their objects: a crash in between leaves an object that no row names, for the next run, and never a row
that points at nothing. Because every object is stored before its row, one that no row names is left alone for a grace, and
the rows are asked again right before it goes. Any number of collectors may run at once.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, delete, func, select
from sqlalchemy.orm import Session

from core.settings import Settings
from core.store.database.clock import database_now
from core.store.database.engine import read_session, write_session
from core.store.database.tables import ArtifactRow, AuditRow, DatasetRow, JobRow, ModelRow
from core.store.objects import cache, references
from core.store.objects.store import FOLDERS, Objects, StoredObject, upload_key

BATCH = 500
Table = type[JobRow] | type[ModelRow] | type[DatasetRow]
NOUNS: dict[Table, str] = {JobRow: "job", ModelRow: "model", DatasetRow: "data set"}


@dataclass(frozen=True)
class Removed:
    """One thing that was removed; or, in a dry run, would be."""

    kind: str
    """job, model, data set, object, unfinished object, cached input or audit lines."""
    name: str
    size: int = 0
    """In bytes; of a row that of its files, one of which a student may still need."""


class Collector:
    def __init__(
        self, settings: Settings, engine: Engine, objects: Objects, *, dry_run: bool = False
    ) -> None:
        self.settings, self.engine, self.objects, self.dry_run = settings, engine, objects, dry_run
        with read_session(engine) as session:
            self.now = session.scalars(select(database_now())).one()
        self.unnamed_before = self.now - round(settings.orphan_grace_hours * 3_600_000)

    def collect(self) -> Iterator[Removed]:
        """Everything there is to remove, as it is removed. Raises Unavailable."""
        for table in NOUNS:
            yield from self._rows(
                table,
                ~table.live(),
                table.deleted_at < self._days_ago(self.settings.retain_deleted_days),
            )
        for table in references.UPLOAD_TABLES:
            last_seen = func.coalesce(table.upload_seen_at, table.created_at)
            never_sent = last_seen < self._days_ago(self.settings.retain_uploads_days)
            yield from self._rows(table, table.status == "awaiting_upload", never_sent)
        yield from self._orphans()
        yield from self._unfinished()
        yield from self._cached()
        yield from self._audit()

    def _rows(self, table: Table, *over: ColumnElement[bool]) -> Iterator[Removed]:
        with read_session(self.engine) as session:
            found = session.scalars(select(table.id).where(*over)).all()
        for row_id in found:
            removed = self._remove(table, row_id, *over)
            if removed is not None:
                yield removed

    def _remove(self, table: Table, row_id: str, *over: ColumnElement[bool]) -> Removed | None:
        """The row with all that hangs on it; after the commit its objects. None where it was restored, or another's prey."""
        with write_session(self.engine) as session:
            statement: Select[Any] = (
                select(table).where(table.id == row_id, *over).with_for_update(skip_locked=True)
            )
            row: JobRow | ModelRow | DatasetRow | None = session.scalars(statement).one_or_none()
            if row is None:
                return None
            sizes = _sizes(session, row)
            if not self.dry_run:
                session.execute(delete(table).where(table.id == row_id))
        if not self.dry_run:
            self._delete_unnamed(sizes)
        return Removed(NOUNS[table], row_id, sum(sizes.values()))

    def _orphans(self) -> Iterator[Removed]:
        for folder in FOLDERS:
            old = (
                stored
                for stored in self.objects.list_objects(folder)
                if stored.modified_at < self.unnamed_before
            )
            while batch := list(islice(old, BATCH)):
                yield from self._unnamed(batch)

    def _unnamed(self, batch: list[StoredObject]) -> Iterator[Removed]:
        with read_session(self.engine) as session:
            named = references.referenced_keys(session, [stored.key for stored in batch])
        for stored in batch:
            if stored.key not in named and (self.dry_run or self._delete_unnamed([stored.key])):
                yield Removed("object", stored.key, stored.size)

    def _delete_unnamed(self, keys: Collection[str]) -> set[str]:
        """Those that were deleted. A student's object is its job's as well: it goes with whichever of the two is the last."""
        with read_session(self.engine) as session:
            unnamed = set(keys) - references.referenced_keys(session, keys)
        for key in unnamed:
            self.objects.delete(key)
        return unnamed

    def _unfinished(self) -> Iterator[Removed]:
        for left in self.objects.list_unfinished_writes(self.unnamed_before):
            if not self.dry_run:
                self.objects.remove_unfinished_write(left)
            yield Removed("unfinished object", left.key, left.size)

    def _cached(self) -> Iterator[Removed]:
        for path, size in cache.list_evictable(self.settings):
            if not self.dry_run:
                path.unlink(missing_ok=True)
            yield Removed("cached input", path.name, size)

    def _audit(self) -> Iterator[Removed]:
        old = AuditRow.at < self._days_ago(self.settings.retain_audit_days)
        with read_session(self.engine) as session:
            count = session.scalar(select(func.count()).select_from(AuditRow).where(old)) or 0
        if count:
            if not self.dry_run:
                with write_session(self.engine) as session:
                    session.execute(delete(AuditRow).where(old))
            yield Removed("audit lines", str(count))

    def _days_ago(self, days: float) -> int:
        return self.now - round(days * 86_400_000)


def _sizes(session: Session, row: JobRow | ModelRow | DatasetRow) -> dict[str, int]:
    """Of the objects that go with the row, by key."""
    if isinstance(row, JobRow):
        files_of_job = session.scalars(select(ArtifactRow).where(ArtifactRow.job_id == row.id))
        return {artifact.object_key: artifact.size for artifact in files_of_job}
    return {upload_key(row.id): 0} | ({row.object_key: row.size or 0} if row.object_key else {})
