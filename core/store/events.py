"""What happened to a job, in order: ``seq`` counts from 1 without gaps. The event stream replays from here."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from core.store.tables import Event, Job


def append(session: Session, job: Job, type: str, data: dict[str, Any]) -> Event:
    """Add an event in the caller's transaction. The job's row is locked by it until then, so numbers have no gaps."""
    statement = (
        update(Job)
        .where(Job.id == job.id)
        .values(event_seq=Job.event_seq + 1, version=Job.version + 1)
        .returning(Job.event_seq, Job.version)
        .execution_options(synchronize_session=False)
    )
    seq, version = session.execute(statement).one()
    set_committed_value(job, "event_seq", seq)
    set_committed_value(job, "version", version)
    event = Event(job_id=job.id, seq=seq, type=type, attempt=job.attempt, data=data)
    session.add(event)
    session.flush()
    return event


def after(session: Session, job_id: str, seq: int = 0, limit: int = 500) -> list[Event]:
    """Up to ``limit`` events with a greater number, in order."""
    statement = select(Event).where(Event.job_id == job_id, Event.seq > min(seq, 2**62)).order_by(Event.seq).limit(limit)
    return list(session.scalars(statement))


def of_type(session: Session, job_id: str, type: str) -> list[Event]:
    """Every event of one type, in order."""
    return list(session.scalars(select(Event).where(Event.job_id == job_id, Event.type == type).order_by(Event.seq)))
