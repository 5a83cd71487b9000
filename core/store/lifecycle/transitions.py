"""The one place where a job's status changes. ``core.jobspec.status.MOVES`` is the table of what is legal."""

from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, update
from sqlalchemy.orm import Session

from core.errors import Conflict
from core.jobspec.status import HELD, TERMINAL, Status, may_move
from core.store import audit, events
from core.store.database.clock import database_now
from core.store.database.tables import DatasetRow, EventRow, JobRow, ModelRow

IMPORTS = frozenset({"import_model", "import_dataset"})
"""Kinds of job that open an upload."""
PAUSED_BY_USER = "A user paused it."
"""Why a paused job waits."""


def transition(
    session: Session,
    job: JobRow,
    new: Status,
    reason: str | None = None,
    *conditions: ColumnElement[bool],
    **changes: Any,
) -> bool:
    """Carry a job to its next state, say so in an event, and set ``changes`` with it.

    One conditional UPDATE: False, and nothing changed, where the row is no longer as ``job`` was read, or a condition
    fails. Raises Conflict for a move that the table does not have.
    """
    return (
        transition_by_id(
            session,
            job.id,
            job.status,
            new,
            reason,
            JobRow.attempt == job.attempt,
            *conditions,
            **changes,
        )
        is not None
    )


def transition_by_id(
    session: Session,
    job_id: str | ScalarSelect[str],
    old: Status,
    new: Status,
    reason: str | None = None,
    *conditions: ColumnElement[bool],
    **changes: Any,
) -> JobRow | None:
    """As ``move``, of a job that was not read before, or that a subquery finds; None where it is not ``old`` or a condition
    fails.
    """
    if not may_move(old, new):
        raise Conflict(f"Job {job_id} is {old}; it cannot become {new}.", code="illegal_move")
    if new not in HELD:
        changes |= {"lease_expires_at": None, "phase": None}
    if new in TERMINAL:
        changes |= {"finished_at": database_now(), "pending_reason": None}
    session.flush()
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.status == old, *conditions)
        .values(status=new, event_seq=JobRow.event_seq + 1, version=JobRow.version + 1, **changes)
        .returning(JobRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job = session.scalars(statement).one_or_none()
    if job is not None:
        _say(session, job, old, new, reason)
        if new in TERMINAL and new != "succeeded":
            _give_up_import(session, job)
    return job


def enqueue(session: Session, job: JobRow) -> None:
    """A new job's first state, and the first event of its history."""
    job.status = "queued"
    job.event_seq = 1
    session.add(job)
    session.flush()
    _say(session, job, None, "queued", None)


def history(session: Session, job_id: str) -> list[EventRow]:
    """Every change of status, in order; ``data`` is ``{"from", "to", "reason"}``."""
    return events.list_of_type(session, job_id, "status")


def _say(
    session: Session, job: JobRow, old: Status | None, new: Status, reason: str | None
) -> None:
    data = {"from": old, "to": new, "reason": reason}
    session.add(
        EventRow(job_id=job.id, seq=job.event_seq, type="status", attempt=job.attempt, data=data)
    )
    session.flush()


def _give_up_import(session: Session, job: JobRow) -> None:
    """What an import job was to open never stays ``importing`` when the job has ended."""
    if job.kind not in IMPORTS:
        return
    failure = job.failure or {}
    problem = {
        "code": failure.get("code", "import_cancelled"),
        "detail": failure.get("message", "The import was cancelled."),
    }
    for table in (ModelRow, DatasetRow):
        session.execute(
            update(table)
            .where(table.import_job_id == job.id, table.status == "importing")
            .values(status="refused", problem=problem, version=table.version + 1)
        )
    if job.status == "failed":
        target = job.spec.get("model_id") or job.spec.get("dataset_id")
        code = problem["code"][:64]
        audit.record(
            session,
            action=job.kind,
            status=422,
            request_id=job.id,
            project_id=job.project_id,
            target=target,
            code=code,
        )
