"""Events of a job, in order: ``seq`` counts from 1 without gaps.

Event streams are replayed from here.
"""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from core.store.database.tables import EventRow, JobRow


def append(session: Session, job: JobRow, type: str, data: dict[str, Any]) -> EventRow:
    """Append an event in the caller's transaction.

    The job's row is locked until the transaction ends, so that the numbers have no gaps.
    """
    statement = (
        update(JobRow)
        .where(JobRow.id == job.id)
        .values(event_seq=JobRow.event_seq + 1, version=JobRow.version + 1)
        .returning(JobRow.event_seq, JobRow.version)
        .execution_options(synchronize_session=False)
    )
    seq, version = session.execute(statement).one()
    set_committed_value(job, "event_seq", seq)
    set_committed_value(job, "version", version)
    event = EventRow(job_id=job.id, seq=seq, type=type, attempt=job.attempt, data=data)
    session.add(event)
    session.flush()
    return event


def list_after(session: Session, job_id: str, seq: int = 0, limit: int = 500) -> list[EventRow]:
    """Return up to ``limit`` events with numbers greater than ``seq``, in order."""
    statement = (
        select(EventRow)
        .where(EventRow.job_id == job_id, EventRow.seq > min(seq, 2**62))
        .order_by(EventRow.seq)
        .limit(limit)
    )
    return list(session.scalars(statement))


def list_of_type(session: Session, job_id: str, type: str) -> list[EventRow]:
    """Return every event of one type, in order."""
    return list(
        session.scalars(
            select(EventRow)
            .where(EventRow.job_id == job_id, EventRow.type == type)
            .order_by(EventRow.seq)
        )
    )
