"""Workers as they say they are: each process has a row, and renews it does the leases of its jobs."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.jobspec.status import HELD
from core.store.database.clock import after, database_now
from core.store.database.tables import JobRow, WorkerRow

RETENTION_MS = 24 * 3600_000
"""A worker that was lost is listed for so long."""


@dataclass(frozen=True)
class WorkerState:
    """A worker, and what is known of it at this moment."""

    row: WorkerRow
    alive: bool
    running: int
    """How many jobs it holds, of all projects."""


def register(
    session: Session, name: str, *, version: str, protocol: int, slots: int, lease_seconds: float
) -> None:
    """A process has started. What an earlier one of its name was told is forgotten."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))
    lease = after(lease_seconds)
    row = WorkerRow(
        name=name,
        version=version,
        protocol=protocol,
        slots=slots,
        draining=False,
        lease_expires_at=lease,
    )
    session.add(row)
    session.flush()


def record_heartbeat(
    session: Session, name: str, *, lease_seconds: float, shutting_down: bool, trouble: str | None
) -> bool | None:
    """It is there: whether it is to drain; None where it is not registered. ``leaving``: it drains by itself."""
    changes = {"draining": True} if shutting_down else {}
    statement = (
        update(WorkerRow)
        .where(WorkerRow.name == name)
        .values(
            seen_at=database_now(),
            lease_expires_at=after(lease_seconds),
            trouble=trouble,
            **changes,
        )
        .returning(WorkerRow.draining)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(statement)


def remove(session: Session, name: str) -> None:
    """It has ended in good order."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))


def delete_lost(session: Session) -> None:
    """Remove those that have not been seen for a day."""
    session.execute(
        delete(WorkerRow)
        .where(WorkerRow.seen_at < database_now() - RETENTION_MS)
        .execution_options(synchronize_session=False)
    )


def list_workers(session: Session) -> list[WorkerState]:
    """By name; lost ones, too."""
    held = (
        select(JobRow.worker, func.count()).where(JobRow.status.in_(HELD)).group_by(JobRow.worker)
    )
    running = dict(session.execute(held).all())
    rows = session.execute(select(WorkerRow, _alive()).order_by(WorkerRow.name))
    return [WorkerState(row, alive, running.get(row.name, 0)) for row, alive in rows]


def drain(session: Session, name: str, draining: bool = True) -> WorkerState:
    """From the commit on it claims nothing, or claims again. Raises NotFound."""
    found = next((worker for worker in list_workers(session) if worker.row.name == name), None)
    if found is None:
        raise NotFound(f"There is no worker {name[:200]!r}.")
    session.execute(update(WorkerRow).where(WorkerRow.name == name).values(draining=draining))
    return found


def may_claim(name: str) -> ColumnElement[bool]:
    """A condition: that worker was not told to drain. One that has not registered was told nothing."""
    return ~exists().where(WorkerRow.name == name, WorkerRow.draining)


def explain_waiting(session: Session, job: JobRow) -> str | None:
    """Why nobody takes a queued job, where it does not only wait for its turn; None for any other."""
    if job.status != "queued":
        return None
    alive = session.execute(
        select(WorkerRow.protocol, WorkerRow.draining, WorkerRow.trouble).where(_alive())
    ).all()
    if not alive:
        return "No worker is alive."
    able = [worker for worker in alive if worker.protocol >= job.protocol]
    if not able:
        theirs = ", ".join(
            str(protocol) for protocol in sorted({worker.protocol for worker in alive})
        )
        return (
            f"It waits for a worker of protocol {job.protocol}; those that are alive have {theirs}."
        )
    if all(worker.draining or worker.trouble for worker in able):
        return "No worker that could take it claims any at present: each is draining or in trouble."
    return None


def _alive() -> ColumnElement[bool]:
    return WorkerRow.lease_expires_at >= database_now()
