"""A job's events, and the job itself whenever it has changed, until the job has ended."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Engine

from api.events import server_sent_events
from api.events.job_changes import JobUpdate, Position, job_message, make_update
from core.store import events, jobs
from core.store.database.engine import read_session


class JobCursor:
    """A ``server_sent_events.Cursor`` of one job.

    The caller must have checked that the job exists and belongs to the caller's project.
    """

    def __init__(self, engine: Engine, job_id: str, after: int) -> None:
        """``after``: number of the last event that the client has."""
        self.engine = engine
        self.job_id = job_id
        self.position = Position(version=0, seq=after)
        self.has_more = True
        self.ended = False

    def read(self) -> Sequence[bytes]:
        limit = server_sent_events.BATCH_SIZE
        with read_session(self.engine) as session:
            rows = events.list_after(session, self.job_id, self.position.seq, limit)
            job = next(iter(jobs.list_by_ids(session, [self.job_id])), None)
            if job is None:
                self.ended = True
                return []
            self.has_more = len(rows) == limit
            is_new = job.version != self.position.version and not self.has_more
            message = job_message(session, job) if is_new else None
        update = make_update(self.position, job, rows, message)
        if self.has_more:  # the job follows its last event
            position = Position(self.position.version, update.until.seq)
            update = replace(update, until=position, ended=False)
        text = self.apply(update)
        return [text] if text else []

    def apply(self, update: JobUpdate) -> bytes | None:
        message = update.messages_after(self.position)
        if message is not None:
            self.position = Position(
                max(self.position.version, update.until.version),
                max(self.position.seq, update.until.seq),
            )
            self.ended |= update.ended
        return message

    def keep_alive(self) -> bytes:
        return server_sent_events.KEEP_ALIVE
