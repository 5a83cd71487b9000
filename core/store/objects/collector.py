"""The collector: removes what nobody can need any more.

That is deleted rows whose retention is over, rows that still await an upload after days, and
objects that no row references. Rows go first, then their objects: a crash in between leaves an
unreferenced object for the next run, and never a row without its object. Because every object is
stored before its row, an unreferenced one stays for a grace period, and references are checked
again right before it is deleted. Any number of collectors may run at once.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, delete, func, select
from sqlalchemy.orm import Session

from core.settings import Settings
from core.store import project_events, search_words
from core.store.database.clock import database_now
from core.store.database.engine import read_session, write_session
from core.store.database.tables import (
    ArtifactRow,
    AuditRow,
    DatasetRow,
    JobRow,
    LogRow,
    ModelRow,
    ThumbnailSheetRow,
)
from core.store.objects import cache, references
from core.store.objects.store import FOLDERS, Objects, StoredObject, upload_key
from core.store.results import rows as results_rows

BATCH_OBJECTS = 500
DELETABLE_TABLES: tuple[type[JobRow] | type[ModelRow] | type[DatasetRow], ...] = (
    JobRow,
    ModelRow,
    DatasetRow,
)
DeletableTable = type[JobRow] | type[ModelRow] | type[DatasetRow]


@dataclass(frozen=True)
class Removed:
    """One item that was removed; in a dry run, one that would be."""

    kind: str
    """job, model, data set, object, unfinished object, cached input, audit lines or project
    events."""
    name: str
    size: int = 0
    """In bytes. That of a row is the size of its objects, one of which a student may still need."""


class Collector:
    """One run of the collector. Its time is the database's at the start of the run."""

    def __init__(
        self, settings: Settings, engine: Engine, objects: Objects, *, dry_run: bool = False
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.objects = objects
        self.dry_run = dry_run
        with read_session(engine) as session:
            self.now = session.scalars(select(database_now())).one()
        self.grace_begins_at = self.now - round(settings.orphan_grace_hours * 3_600_000)

    def collect(self) -> Iterator[Removed]:
        """Remove everything there is to remove, and yield each item. Raises Unavailable."""
        for table in DELETABLE_TABLES:
            retention_begins_at = self._days_ago(self.settings.retain_deleted_days)
            yield from self._remove_rows(
                table, ~table.live(), table.deleted_at < retention_begins_at
            )
        for uploaded in references.UPLOAD_TABLES:
            last_active_at = func.coalesce(uploaded.upload_seen_at, uploaded.created_at)
            is_abandoned = last_active_at < self._days_ago(self.settings.retain_uploads_days)
            yield from self._remove_rows(
                uploaded, uploaded.status == "awaiting_upload", is_abandoned
            )
        yield from self._remove_unreferenced_objects()
        yield from self._remove_unfinished_writes()
        yield from self._remove_cached_inputs()
        yield from self._remove_audit_entries()
        yield from self._remove_project_events()

    def _remove_rows(
        self, table: DeletableTable, *is_expired: ColumnElement[bool]
    ) -> Iterator[Removed]:
        with read_session(self.engine) as session:
            row_ids = session.scalars(select(table.id).where(*is_expired)).all()
        for row_id in row_ids:
            removed = self._remove_row(table, row_id, *is_expired)
            if removed is not None:
                yield removed

    def _remove_row(
        self, table: DeletableTable, row_id: str, *is_expired: ColumnElement[bool]
    ) -> Removed | None:
        """Delete a row with all rows that depend on it, and after the commit its objects.

        Return None where it was restored meanwhile, or another collector has deleted it.
        """
        with write_session(self.engine) as session:
            statement: Select[Any] = (
                select(table)
                .where(table.id == row_id, *is_expired)
                .with_for_update(skip_locked=True)
            )
            row: JobRow | ModelRow | DatasetRow | None = session.scalars(statement).one_or_none()
            if row is None:
                return None
            sizes = _object_sizes(session, row)
            if not self.dry_run:
                session.execute(delete(table).where(table.id == row_id))
                search_words.forget(session, row)
                results_rows.forget(session, row)
                if not isinstance(row, JobRow) and row.deleted_at is None:
                    project_events.record_upload(session, row, "deleted")
        if not self.dry_run:
            self._delete_unreferenced(sizes)
        return Removed(table.noun, row_id, sum(sizes.values()))

    def _remove_unreferenced_objects(self) -> Iterator[Removed]:
        for folder in FOLDERS:
            old_objects = (
                stored
                for stored in self.objects.list_objects(folder)
                if stored.modified_at < self.grace_begins_at
            )
            while batch := list(islice(old_objects, BATCH_OBJECTS)):
                yield from self._remove_unreferenced_of(batch)

    def _remove_unreferenced_of(self, batch: list[StoredObject]) -> Iterator[Removed]:
        with read_session(self.engine) as session:
            referenced = references.referenced_keys(session, [stored.key for stored in batch])
        for stored in batch:
            if stored.key in referenced:
                continue
            if self.dry_run or self._delete_unreferenced([stored.key]):
                yield Removed("object", stored.key, stored.size)

    def _delete_unreferenced(self, keys: Collection[str]) -> set[str]:
        """Delete those of the objects that no row references; return their keys.

        A student's object is its job's as well: it is deleted with the last of the two.
        """
        with read_session(self.engine) as session:
            unreferenced = set(keys) - references.referenced_keys(session, keys)
        for key in unreferenced:
            self.objects.delete(key)
        return unreferenced

    def _remove_unfinished_writes(self) -> Iterator[Removed]:
        for stored in self.objects.list_legacy_partial_writes(self.grace_begins_at):
            if not self.dry_run:
                self.objects.remove_legacy_partial_write(stored)
            yield Removed("unfinished object", stored.key, stored.size)

    def _remove_cached_inputs(self) -> Iterator[Removed]:
        for path, size in cache.list_evictable(self.settings):
            if not self.dry_run:
                path.unlink(missing_ok=True)
            yield Removed("cached input", path.name, size)

    def _remove_audit_entries(self) -> Iterator[Removed]:
        conditions = AuditRow.at < self._days_ago(self.settings.retain_audit_days)
        with read_session(self.engine) as session:
            statement = select(func.count()).select_from(AuditRow).where(conditions)
            count = session.scalar(statement) or 0
        if count == 0:
            return
        if not self.dry_run:
            with write_session(self.engine) as session:
                session.execute(delete(AuditRow).where(conditions))
        yield Removed("audit lines", str(count))

    def _remove_project_events(self) -> Iterator[Removed]:
        before = self._days_ago(self.settings.retain_changes_hours / 24)
        if self.dry_run:
            with read_session(self.engine) as session:
                count = project_events.count_before(session, before)
        else:
            count = project_events.prune(self.engine, before)
        if count:
            yield Removed("project events", str(count))

    def _days_ago(self, days: float) -> int:
        return self.now - round(days * 86_400_000)


def _object_sizes(session: Session, row: JobRow | ModelRow | DatasetRow) -> dict[str, int]:
    """Return the sizes, by key, of the objects that belong to a row."""
    if isinstance(row, JobRow):
        artifacts = session.scalars(select(ArtifactRow).where(ArtifactRow.job_id == row.id))
        logs = session.scalars(select(LogRow).where(LogRow.job_id == row.id))
        return {
            file.object_key: file.size or 0
            for file in (*artifacts, *logs)
            if file.object_key is not None
        }
    sizes = {upload_key(row.id): 0}
    if row.object_key:
        sizes[row.object_key] = row.size or 0
    if isinstance(row, DatasetRow):
        of_dataset = ThumbnailSheetRow.dataset_id == row.id
        sheets = session.scalars(select(ThumbnailSheetRow).where(of_dataset))
        sizes |= {sheet.object_key: sheet.size for sheet in sheets}
    return sizes
