"""Events of a job, in order: ``seq`` counts from 1 without gaps.

Event streams are replayed from here.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import BigInteger, String, and_, column, select, update, values
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from core.store import project_events
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
    project_events.record_job(session, job, project_events.CHANGES_BY_EVENT.get(type, "changed"))
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


def list_of_jobs_after(
    session: Session, numbers: Mapping[str, int], limit: int
) -> dict[str, list[EventRow]]:
    """Return the events of several jobs with numbers greater than each job's own, in order.

    Jobs whose events may go beyond ``limit`` rows, over all jobs, are left out.
    """
    if not numbers:
        return {}
    known = (
        values(column("job_id", String), column("seq", BigInteger), name="known")
        .data(list(numbers.items()))
        .cte()
    )
    statement = (
        select(EventRow)
        .join(known, and_(EventRow.job_id == known.c.job_id, EventRow.seq > known.c.seq))
        .order_by(EventRow.job_id, EventRow.seq)
        .limit(limit)
    )
    rows = list(session.scalars(statement))
    is_cut = len(rows) == limit
    rows_by_job: dict[str, list[EventRow]] = {} if is_cut else {job_id: [] for job_id in numbers}
    for row in rows:
        rows_by_job.setdefault(row.job_id, []).append(row)
    if is_cut:
        del rows_by_job[rows[-1].job_id]
    return rows_by_job


def list_of_types(
    session: Session, job_ids: Collection[str], types: Collection[str]
) -> dict[str, list[EventRow]]:
    """Return every event of these types, by job and in order."""
    statement = (
        select(EventRow)
        .where(EventRow.job_id.in_(job_ids), EventRow.type.in_(types))
        .order_by(EventRow.job_id, EventRow.seq)
    )
    rows_by_job: dict[str, list[EventRow]] = {}
    for row in session.scalars(statement):
        rows_by_job.setdefault(row.job_id, []).append(row)
    return rows_by_job


def list_of_type(session: Session, job_id: str, type: str) -> list[EventRow]:
    """Return every event of one type, in order."""
    return list_of_types(session, [job_id], [type]).get(job_id, [])
