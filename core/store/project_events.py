"""What changes in a project: one row for each change, in the transaction of the change itself.

``record`` and the functions below it write the rows; ``list_after`` reads them back in one order
that never changes, so that whoever continues after a number misses nothing and gets nothing twice.

On Postgres transactions commit in another order than that in which they insert. A row is therefore
inserted without a number, and gets one after its commit: ``assign_numbers`` counts on from the last
number, under the lock of the one row of ``project_event_log``, which writers never take. On SQLite,
which has one writer at a time, a row is numbered as it is inserted.

Of an item's rows that only say what it is like at present (``SUPERSEDED``), the newest is kept.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Engine, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from core.store.database.clock import database_now
from core.store.database.engine import write_session
from core.store.database.tables import (
    IS_SUPERSEDED,
    DatasetRow,
    JobRow,
    ModelRow,
    ProjectEventLogRow,
    ProjectEventRow,
    SweepRow,
    WorkerRow,
)

ItemType = Literal["job", "sweep", "model", "dataset", "worker"]
ITEM_TYPES: tuple[ItemType, ...] = get_args(ItemType)
Change = Literal[
    "created", "status", "phase", "progress", "results", "changed", "deleted", "restored"
]
CHANGES_BY_EVENT: dict[str, Change] = {
    "status": "status",
    "phase": "phase",
    "measured": "results",
    "deleted": "deleted",
    "restored": "restored",
}
"""By type of a job's event; any other is ``changed``."""
SUPERSEDED: frozenset[Change] = frozenset({"progress", "changed"})
"""Those of ``IS_SUPERSEDED``."""
PROGRESS_SECONDS = 1.0
"""A worker records a job's progress at most this often."""
HEARTBEAT_INTERVAL_MS = 9_000
"""A worker's heartbeat is recorded at most this often: by default each one, every 10 s."""
NUMBERING_BATCH = 2000
PRUNING_BATCH = 2000


@dataclass(frozen=True)
class LogState:
    """How far the log reaches: the numbers of its events, of all projects."""

    last_seq: int
    """The greatest number that an event has."""
    pruned_seq: int
    """Events up to this number may have been pruned."""
    has_unnumbered: bool
    """Whether there are events that ``assign_numbers`` has not numbered yet."""


# -- writing


def record(
    session: Session,
    project_id: str | None,
    item_type: ItemType,
    item_id: str,
    change: Change,
    data: dict[str, Any],
    *,
    interval_ms: int = 0,
) -> None:
    """Record a change in the caller's transaction.

    ``project_id``: None for what every project sees. ``data``: what the item is like now, as far as
    a list shows it. ``interval_ms``: a superseded change is left out where the last one is newer.
    """
    if change in SUPERSEDED and not _supersede(session, item_type, item_id, change, interval_ms):
        return
    event = ProjectEventRow(
        project_id=project_id, item_type=item_type, item_id=item_id, change=change, data=data
    )
    if session.get_bind().dialect.name == "sqlite":
        event.seq = _advance(session, 1)
    session.add(event)


def _supersede(
    session: Session, item_type: ItemType, item_id: str, change: Change, interval_ms: int
) -> bool:
    """Delete the item's last event of this change; return False where it is too new for another."""
    is_last = (
        ProjectEventRow.item_type == item_type,
        ProjectEventRow.item_id == item_id,
        ProjectEventRow.change == change,
        IS_SUPERSEDED,  # so that the partial index applies
    )
    if interval_ms:
        is_recent = ProjectEventRow.at > database_now() - interval_ms
        if session.scalar(select(exists().where(*is_last, is_recent))):
            return False
    session.execute(
        delete(ProjectEventRow).where(*is_last).execution_options(synchronize_session=False)
    )
    return True


def record_job(session: Session, job: JobRow, change: Change) -> None:
    """Record a change of a job, whose row says what it is like now."""
    data = {
        "status": job.status,
        "name": job.name,
        "phase": job.phase,
        "progress": job.progress,
        "sweep_id": job.sweep_id,
        "version": job.version,
    }
    record(session, job.project_id, "job", job.id, change, data)
    if change == "status" and job.sweep_id is not None:
        _record_sweep_of(session, job)


def record_sweep(session: Session, sweep: SweepRow, change: Change) -> None:
    """Record a change of a sweep."""
    record(session, sweep.project_id, "sweep", sweep.id, change, {"name": sweep.name})


def record_upload(session: Session, row: ModelRow | DatasetRow, change: Change) -> None:
    """Record a change of a model or data set, whose row says what it is like now."""
    item_type: ItemType = "model" if isinstance(row, ModelRow) else "dataset"
    data = {"status": row.status, "name": row.name, "version": row.version}
    record(session, row.project_id, item_type, row.id, change, data)


def record_worker(session: Session, worker: WorkerRow, change: Change) -> None:
    """Record a change of a worker, for all projects; ``changed``: another heartbeat.

    Its machine and its trouble are at ``/v1/workers``.
    """
    data = {"status": worker_status(worker), "name": worker.name}
    interval_ms = HEARTBEAT_INTERVAL_MS if change == "changed" else 0
    record(session, None, "worker", worker.name, change, data, interval_ms=interval_ms)


def worker_status(worker: WorkerRow) -> str:
    """Return a registered worker's status: ready, draining, trouble or lost."""
    if worker.lost_at is not None:
        return "lost"
    if worker.draining:
        return "draining"
    return "trouble" if worker.trouble else "ready"


def _record_sweep_of(session: Session, job: JobRow) -> None:
    """Record that the state of the job's sweep has changed with the job's."""
    name = session.scalar(select(SweepRow.name).where(SweepRow.id == job.sweep_id))
    record(session, job.project_id, "sweep", str(job.sweep_id), "status", {"name": name})


# -- numbering


def assign_numbers(engine: Engine, *, wait: bool) -> None:
    """Number every committed event that has no number yet.

    Another process that is doing so is waited for, or with ``wait=False`` left to it. Raises
    Unavailable.
    """
    while True:
        with write_session(engine) as session:
            if _assign_batch(session, wait) < NUMBERING_BATCH:
                return


def _assign_batch(session: Session, wait: bool) -> int:
    """Return how many events were numbered."""
    lock = select(ProjectEventLogRow.last_seq).with_for_update(skip_locked=not wait)
    if session.scalars(lock).one_or_none() is None:
        return 0
    # The lock is held until the commit: whoever numbers next counts on from here, and a reader that
    # sees a number also sees every smaller one. Rows that are being deleted are skipped.
    unnumbered = (
        select(ProjectEventRow.id)
        .where(ProjectEventRow.seq.is_(None))
        .order_by(ProjectEventRow.id)
        .limit(NUMBERING_BATCH)
        .with_for_update(skip_locked=True)
    )
    ids = session.scalars(unnumbered).all()
    if not ids:
        return 0
    first = _advance(session, len(ids)) - len(ids)
    session.execute(
        update(ProjectEventRow),
        [{"id": event_id, "seq": first + number} for number, event_id in enumerate(ids, 1)],
    )
    return len(ids)


def _advance(session: Session, count: int) -> int:
    """Count on by ``count``; return the last number."""
    statement = (
        update(ProjectEventLogRow)
        .values(last_seq=ProjectEventLogRow.last_seq + count)
        .returning(ProjectEventLogRow.last_seq)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).one()


# -- reading


def state(session: Session) -> LogState:
    """Return how far the log reaches. Of the events up to ``last_seq`` all can be read."""
    unnumbered = exists().where(ProjectEventRow.seq.is_(None))
    log = ProjectEventLogRow
    return LogState(*session.execute(select(log.last_seq, log.pruned_seq, unnumbered)).one())


def list_after(
    session: Session,
    project_ids: Collection[str],
    seq: int,
    *,
    types: Collection[ItemType] = ITEM_TYPES,
    limit: int,
) -> list[ProjectEventRow]:
    """Return up to ``limit`` events of these projects, and of all, with numbers after ``seq``."""
    is_visible = or_(
        ProjectEventRow.project_id.in_(project_ids), ProjectEventRow.project_id.is_(None)
    )
    statement = (
        select(ProjectEventRow)
        .where(ProjectEventRow.seq > min(seq, 2**62), is_visible)
        .order_by(ProjectEventRow.seq)
        .limit(limit)
    )
    if set(types) != set(ITEM_TYPES):
        statement = statement.where(ProjectEventRow.item_type.in_(types))
    return list(session.scalars(statement))


# -- pruning


def count_before(session: Session, before: int) -> int:
    """Return how many events ``prune`` would delete."""
    is_old = ProjectEventRow.at < before
    return session.scalar(select(func.count()).select_from(ProjectEventRow).where(is_old)) or 0


def prune(engine: Engine, before: int) -> int:
    """Delete the events from before a time, in milliseconds; return how many there were.

    Raises Unavailable.
    """
    assign_numbers(engine, wait=True)
    is_old = ProjectEventRow.at < before
    count = 0
    while True:
        with write_session(engine) as session:
            batch = (
                select(ProjectEventRow.id)
                .where(is_old, ProjectEventRow.seq.is_not(None))
                .limit(PRUNING_BATCH)
                .with_for_update(skip_locked=True)
            )
            statement = (
                delete(ProjectEventRow)
                .where(ProjectEventRow.id.in_(batch.scalar_subquery()))
                .returning(ProjectEventRow.seq)
                .execution_options(synchronize_session=False)
            )
            numbers = [seq for seq in session.scalars(statement) if seq is not None]
            if not numbers:
                return count
            session.execute(
                update(ProjectEventLogRow)
                .where(ProjectEventLogRow.pruned_seq < max(numbers))
                .values(pruned_seq=max(numbers))
            )
        count += len(numbers)
