"""The only module that changes a job's status.

``core.jobspec.status.TRANSITIONS`` is the table of what is allowed.
"""

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, ScalarSelect, update
from sqlalchemy.orm import Session

from core.errors import Conflict
from core.jobspec.status import LEASED, TERMINAL, Status, is_transition
from core.store import events, project_events
from core.store.access import audit
from core.store.database.clock import database_now
from core.store.database.tables import DatasetRow, EventRow, JobRow, ModelRow

IMPORTS = frozenset({"import_model", "import_dataset"})
"""Kinds of jobs that open an upload."""
PAUSED_BY_USER = "A user paused it."
"""The pending reason of a job that a user paused."""
Row = TypeVar("Row", ModelRow, DatasetRow)


def transition(
    session: Session,
    job: JobRow,
    new: Status,
    reason: str | None = None,
    *conditions: ColumnElement[bool],
    **changes: Any,
) -> bool:
    """Change a job's status, set ``changes`` with it, and append an event.

    Return False, with nothing changed, where the row's status or attempt is no longer that of
    ``job``, or a condition is not met. Raises Conflict for a transition that is not in the table.
    """
    changed = transition_by_id(
        session,
        job.id,
        job.status,
        new,
        reason,
        JobRow.attempt == job.attempt,
        *conditions,
        **changes,
    )
    return changed is not None


def transition_by_id(
    session: Session,
    job_id: str | ScalarSelect[str],
    old: Status,
    new: Status,
    reason: str | None = None,
    *conditions: ColumnElement[bool],
    **changes: Any,
) -> JobRow | None:
    """Do what ``transition`` does, for a job that is given by its id or by a subquery.

    Return None where its status is not ``old`` or a condition is not met.
    """
    if not is_transition(old, new):
        raise Conflict(f"Job {job_id} is {old}; it cannot become {new}.", code="illegal_move")
    if new not in LEASED:
        changes |= {"lease_expires_at": None, "phase": None}
    if new in TERMINAL:
        changes |= {"finished_at": database_now(), "pending_reason": None}
    session.flush()
    # One conditional UPDATE: of several that compete for a job, one changes it.
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.status == old, *conditions)
        .values(status=new, event_seq=JobRow.event_seq + 1, version=JobRow.version + 1, **changes)
        .returning(JobRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job = session.scalars(statement).one_or_none()
    if job is not None:
        _append_event(session, job, old, new, reason)
        if new in TERMINAL and new != "succeeded":
            _refuse_imported(session, job)
    return job


def enqueue(session: Session, job: JobRow) -> None:
    """Insert a new job as ``queued``, with the first event of its history."""
    job.status = "queued"
    job.event_seq = 1
    session.add(job)
    session.flush()
    _append_event(session, job, None, "queued", None)


def history(session: Session, job_id: str) -> list[EventRow]:
    """Return every change of status, in order; ``data`` is ``{"from", "to", "reason"}``."""
    return events.list_of_type(session, job_id, "status")


def _append_event(
    session: Session, job: JobRow, old: Status | None, new: Status, reason: str | None
) -> None:
    data = {"from": old, "to": new, "reason": reason}
    session.add(
        EventRow(job_id=job.id, seq=job.event_seq, type="status", attempt=job.attempt, data=data)
    )
    session.flush()
    project_events.record_job(session, job, "created" if old is None else "status")


def _refuse_imported(session: Session, job: JobRow) -> None:
    """Refuse the model or data set of an import job that has ended without success.

    Otherwise it would stay ``importing``. A failure also makes an entry in the audit log.
    """
    if job.kind not in IMPORTS:
        return
    failure = job.failure or {}
    problem = {
        "code": failure.get("code", "import_cancelled"),
        "detail": failure.get("message", "The import was cancelled."),
    }
    _refuse(session, ModelRow, job.id, problem)
    _refuse(session, DatasetRow, job.id, problem)
    if job.status == "failed":
        audit.record(
            session,
            action=job.kind,
            status=422,
            request_id=job.id,
            project_id=job.project_id,
            target=job.spec.get("model_id") or job.spec.get("dataset_id"),
            code=problem["code"][:64],
        )


def _refuse(
    session: Session, table: type[Row], import_job_id: str, problem: dict[str, Any]
) -> None:
    statement = (
        update(table)
        .where(table.import_job_id == import_job_id, table.status == "importing")
        .values(status="refused", problem=problem, version=table.version + 1)
        .returning(table)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    for row in session.scalars(statement).all():
        project_events.record_upload(session, row, "status")
