"""Registered workers: each process has a row, and renews its lease by heartbeats."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.hardware import Hardware
from core.jobspec.status import LEASED
from core.store import project_events
from core.store.database.clock import after, database_now
from core.store.database.tables import JobRow, WorkerRow

RETENTION_MS = 24 * 3600_000
"""How long a lost worker stays listed."""


@dataclass(frozen=True)
class WorkerState:
    """A worker's row and its state at this moment."""

    row: WorkerRow
    alive: bool
    running: int
    """Number of jobs it holds a lease on, of all projects."""

    @property
    def hardware(self) -> Hardware | None:
        """The machine as of the last heartbeat; None where the worker does not report it."""
        hardware = self.row.hardware
        return None if hardware is None else Hardware.model_validate(hardware)


def register(
    session: Session,
    name: str,
    *,
    version: str,
    protocol: int,
    slots: int,
    lease_seconds: float,
    hardware: Hardware | None = None,
) -> None:
    """Insert the row of a process that has started.

    It replaces that of an earlier process with this name, and so also a request to drain.
    """
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))
    row = WorkerRow(
        name=name,
        version=version,
        protocol=protocol,
        slots=slots,
        draining=False,
        lease_expires_at=after(lease_seconds),
        hardware=_as_json(hardware),
    )
    session.add(row)
    session.flush()
    project_events.record_worker(session, row, "created")


def record_heartbeat(
    session: Session,
    name: str,
    *,
    lease_seconds: float,
    shutting_down: bool,
    schema_error: str | None,
    hardware: Hardware | None = None,
) -> bool | None:
    """Renew the worker's lease; return whether it is to drain, or None if it is not registered.

    ``shutting_down``: the worker drains by its own decision. ``trouble``: why it claims nothing.
    """
    changes = {"draining": True} if shutting_down else {}
    former = session.get(WorkerRow, name)
    former_status = None if former is None else project_events.worker_status(former)
    statement = (
        update(WorkerRow)
        .where(WorkerRow.name == name)
        .values(
            seen_at=database_now(),
            lease_expires_at=after(lease_seconds),
            trouble=schema_error,
            hardware=_as_json(hardware),
            lost_at=None,
            **changes,
        )
        .returning(WorkerRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    worker = session.scalars(statement).one_or_none()
    if worker is None:
        return None
    is_same = project_events.worker_status(worker) == former_status
    project_events.record_worker(session, worker, "changed" if is_same else "status")
    return worker.draining


def remove(session: Session, name: str) -> None:
    """Delete the row of a process that has ended in good order."""
    _delete(session, WorkerRow.name == name)


def delete_lost(session: Session) -> None:
    """Delete workers without a heartbeat for a day."""
    _delete(session, WorkerRow.seen_at < database_now() - RETENTION_MS)


def _delete(session: Session, condition: ColumnElement[bool]) -> None:
    statement = (
        delete(WorkerRow)
        .where(condition)
        .returning(WorkerRow)
        .execution_options(synchronize_session=False)
    )
    for worker in session.scalars(statement).all():
        project_events.record_worker(session, worker, "deleted")


def mark_lost(session: Session) -> list[str]:
    """Mark the workers whose lease has expired as lost; return the names of those that are new.

    Any number of processes may do this at once.
    """
    statement = (
        update(WorkerRow)
        .where(~_is_alive(), WorkerRow.lost_at.is_(None))
        .values(lost_at=database_now())
        .returning(WorkerRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    workers = list(session.scalars(statement))
    for worker in workers:
        project_events.record_worker(session, worker, "status")
    return [worker.name for worker in workers]


def list_workers(session: Session) -> list[WorkerState]:
    """Return all workers, sorted by name, including lost ones."""
    jobs_by_worker = (
        select(JobRow.worker, func.count()).where(JobRow.status.in_(LEASED)).group_by(JobRow.worker)
    )
    running = dict(session.execute(jobs_by_worker).all())
    rows = session.execute(select(WorkerRow, _is_alive()).order_by(WorkerRow.name))
    return [WorkerState(row, alive, running.get(row.name, 0)) for row, alive in rows]


def set_draining(session: Session, name: str, draining: bool = True) -> WorkerState:
    """Tell a worker to claim no more jobs from the commit on, or to claim again.

    Raises NotFound.
    """
    worker = next((worker for worker in list_workers(session) if worker.row.name == name), None)
    if worker is None:
        raise NotFound(f"There is no worker {name[:200]!r}.")
    if worker.row.draining != draining:
        worker.row.draining = draining
        session.flush()
        project_events.record_worker(session, worker.row, "status")
    return worker


def may_claim(name: str) -> ColumnElement[bool]:
    """Return a condition: this worker has not been told to drain. It need not be registered."""
    return ~exists().where(WorkerRow.name == name, WorkerRow.draining)


def explain_waiting(session: Session, job: JobRow) -> str | None:
    """Return why no worker can claim a queued job, or None where it only waits for its turn."""
    if job.status != "queued":
        return None
    alive = session.execute(
        select(WorkerRow.protocol, WorkerRow.draining, WorkerRow.trouble).where(_is_alive())
    ).all()
    if not alive:
        return "No worker is alive."
    able = [worker for worker in alive if worker.protocol >= job.protocol]
    if not able:
        protocols = ", ".join(map(str, sorted({worker.protocol for worker in alive})))
        return (
            f"It waits for a worker of protocol {job.protocol}; "
            f"those that are alive have {protocols}."
        )
    if all(worker.draining or worker.trouble for worker in able):
        return "No worker that could take it claims any at present: each is draining or in trouble."
    return None


def _as_json(hardware: Hardware | None) -> dict[str, Any] | None:
    return None if hardware is None else hardware.model_dump(mode="json")


def _is_alive() -> ColumnElement[bool]:
    return WorkerRow.lease_expires_at >= database_now()
