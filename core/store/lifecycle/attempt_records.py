"""The record of each attempt: who made it, when, and how it ended.

Written in the same transactions that change the job's status.
"""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.errors import JobFailed, NotFound
from core.jobspec.status import Outcome
from core.store.database.clock import database_now
from core.store.database.fence import FencedSession
from core.store.database.tables import AttemptRow, JobRow


def begin(session: Session, job: JobRow) -> AttemptRow:
    """Insert the record of the attempt that has just claimed the job."""
    row = AttemptRow(job_id=job.id, number=job.attempt, worker=job.worker)
    session.add(row)
    session.flush()
    return row


def end(
    session: FencedSession, job: JobRow, outcome: Outcome, error: JobFailed | None = None
) -> None:
    """Record how the job's current attempt ended."""
    failure = None if error is None else _failure_json(error)
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.job_id == job.id, AttemptRow.number == job.attempt)
        .values(ended_at=database_now(), outcome=outcome, failure=failure)
        .execution_options(synchronize_session=False)
    )


def list_attempts(
    session: Session, job_id: str, after: int = 0, limit: int = 200
) -> list[AttemptRow]:
    """Return up to ``limit`` attempts with numbers greater than ``after``, in order."""
    statement = (
        select(AttemptRow)
        .where(AttemptRow.job_id == job_id, AttemptRow.number > after)
        .order_by(AttemptRow.number)
        .limit(limit)
    )
    return list(session.scalars(statement))


def get(session: Session, job_id: str, number: int) -> AttemptRow:
    """Return one attempt. Raises NotFound."""
    row = session.get(AttemptRow, (job_id, number))
    if row is None:
        raise NotFound(f"Job {job_id} has no attempt {number}.")
    return row


def latest(session: Session, job_id: str) -> AttemptRow | None:
    """Return the job's newest attempt; None before the first."""
    statement = select(AttemptRow).where(AttemptRow.job_id == job_id)
    return session.scalars(statement.order_by(AttemptRow.number.desc()).limit(1)).one_or_none()


def _failure_json(error: JobFailed) -> dict[str, Any]:
    return {
        "code": error.code,
        "class": error.failure_class,
        "message": error.message,
        "retryable": error.failure_class != "user",
    }
