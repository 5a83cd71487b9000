"""Reads what happens to jobs, once for all streams of this process, and publishes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi.sse import format_sse_event
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.events.topics import Topics
from api.representation import from_rows
from core.jobspec.status import TERMINAL
from core.store import events, jobs
from core.store.database.engine import read_session
from core.store.database.tables import EventRow, JobRow

MAX_EVENTS = 2000
"""Read at a time, over all jobs; the others follow at once."""


@dataclass(frozen=True)
class Position:
    """What is known of a job: its version, and the number of its last event."""

    version: int
    seq: int


@dataclass(frozen=True)
class JobUpdate:
    """What has happened to a job between two positions.

    Without messages although they differ: the streams read it by themselves.
    """

    after: Position
    until: Position
    events: tuple[tuple[int, bytes], ...] = ()
    """Number and message of each event after ``after.seq``."""
    job: bytes | None = None
    """The message with the job; None where its version is the same, or there are no messages."""
    ends_job: bool = False
    """Whether the last event ended the job."""
    ended: bool = False
    """Whether nothing will follow."""

    def messages_after(self, known: Position) -> bytes | None:
        """Return what a stream lacks that stands at ``known``; None where it has missed more."""
        lacks_job = self.until.version > known.version
        if known.seq < self.after.seq or (lacks_job and self.job is None):
            return None
        messages = [message for seq, message in self.events if seq > known.seq]
        if lacks_job and self.job is not None:
            # The job goes before the event that ends it, which is the last message of a stream.
            position = len(messages) - 1 if messages and self.ends_job else len(messages)
            messages.insert(position, self.job)
        return b"".join(messages)


class JobChanges(Topics[JobUpdate]):
    """The subscriptions of jobs, and how far each subscribed job has been read."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self._positions: dict[str, Position] = {}

    def forget(self, topic: str) -> None:
        self._positions.pop(topic, None)

    def positions(self) -> dict[str, Position | None]:
        """Return how far each subscribed job has been read; None: not yet."""
        return {job_id: self._positions.get(job_id) for job_id in self.names}

    def read(self, positions: Mapping[str, Position | None]) -> dict[str, JobUpdate]:
        """Read what has happened since, in a thread. Raises Unavailable."""
        with read_session(self.engine) as session:
            updates: dict[str, JobUpdate] = {}
            changed: dict[str, Position] = {}
            for job_id, (version, seq) in jobs.versions(session, positions).items():
                known = positions[job_id]
                current = Position(version, seq)
                if known is None:
                    updates[job_id] = JobUpdate(current, current)
                elif known != current:
                    changed[job_id] = known
                    updates[job_id] = JobUpdate(current, current)
            return updates | _read_changed(session, changed)

    def publish_all(self, updates: Mapping[str, JobUpdate]) -> None:
        for job_id, update in updates.items():
            if job_id in self.names:
                self._positions[job_id] = update.until
                self.publish(job_id, update)


def _read_changed(session: Session, positions: Mapping[str, Position]) -> dict[str, JobUpdate]:
    """Read the messages of the jobs that have changed, but for those with too many new events."""
    # The events first: a job that is read later is never older than its last event.
    numbers = {job_id: position.seq for job_id, position in positions.items()}
    rows_by_job = events.list_of_jobs_after(session, numbers, MAX_EVENTS)
    changed = jobs.list_by_ids(session, rows_by_job)
    details = from_rows.job_details(session, changed)
    updates = {}
    for job in changed:
        after = positions[job.id]
        is_new = job.version != after.version
        message = job_message(session, job, details[job.id]) if is_new else None
        updates[job.id] = make_update(after, job, rows_by_job[job.id], message)
    return updates


def make_update(
    after: Position, job: JobRow, rows: Sequence[EventRow], message: bytes | None
) -> JobUpdate:
    """Return the update with these events; ``message``: that with the job, if it is new."""
    seq = rows[-1].seq if rows else after.seq
    last = rows[-1] if rows else None
    return JobUpdate(
        after=after,
        until=Position(job.version, seq),
        events=tuple((row.seq, _event_message(row)) for row in rows),
        job=message,
        ends_job=last is not None and last.type == "status" and last.data.get("to") in TERMINAL,
        ended=job.status in TERMINAL and job.event_seq <= seq,
    )


def job_message(
    session: Session, row: JobRow, details: from_rows.JobDetails | None = None
) -> bytes:
    job = from_rows.job(session, row, details=details)
    return format_sse_event(event="job", data_str=job.model_dump_json(by_alias=True))


def _event_message(row: EventRow) -> bytes:
    event = from_rows.event(row)
    return format_sse_event(id=str(event.seq), event=event.type, data_str=event.model_dump_json())
