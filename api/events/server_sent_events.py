"""A job's events as text/event-stream: replayed from a position, then live until the job ends."""

from collections.abc import AsyncIterator

from anyio import to_thread
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from api.events.job_changes import JobChanges
from api.representation import from_rows, schemas
from core.errors import Unavailable
from core.jobspec.status import TERMINAL
from core.store import events, jobs
from core.store.database.engine import read_session

KEEP_ALIVE_SECONDS = 15.0
RETRY_SECONDS = 1.0
BATCH_SIZE = 200
KEEP_ALIVE = b": still here\n\n"
RETRY_HINT = b"retry: 1000\n\n"
"""How long a client waits before it reconnects, in milliseconds."""


def stream_events(
    changes: JobChanges, project_id: str, job_id: str, after: int
) -> StreamingResponse:
    """Stream the events with ``seq`` greater than ``after``.

    The caller must have checked that the job exists and belongs to the project.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    messages = _messages(changes, project_id, job_id, after)
    return StreamingResponse(messages, 200, headers, "text/event-stream")


async def _messages(
    changes: JobChanges, project_id: str, job_id: str, after: int
) -> AsyncIterator[bytes]:
    cursor = _EventCursor(changes, project_id, job_id, after)
    with changes.subscribe(job_id) as subscription:
        yield RETRY_HINT
        while not changes.closing:
            try:
                batch = await to_thread.run_sync(cursor.next_batch, limiter=changes.threads)
            except Unavailable:
                yield KEEP_ALIVE
                await subscription.wait(RETRY_SECONDS)
                continue
            for message in batch:
                yield message
            if cursor.ended:
                return
            if not cursor.has_more and not await subscription.wait(KEEP_ALIVE_SECONDS):
                yield KEEP_ALIVE


class _EventCursor:
    """Where one stream stands: what it has sent of a job, and what comes next."""

    def __init__(self, changes: JobChanges, project_id: str, job_id: str, after: int) -> None:
        self.changes = changes
        self.project_id = project_id
        self.job_id = job_id
        self.seq = after
        """Of the last event that was sent."""
        self.version = 0
        """Of the job as it was sent last; 0: not yet."""
        self.has_more = False
        """Whether there are more events to be read at once."""
        self.ended = False

    def next_batch(self) -> list[bytes]:
        """Return the messages of new events, and of the job if it has changed.

        The job goes before the event that ends it, which is the last message of a stream. Empty
        once the service is closing: of a thousand streams most wait for a thread here.
        """
        if self.changes.closing:
            return []
        with read_session(self.changes.engine) as session:
            rows = events.list_after(session, self.job_id, self.seq, BATCH_SIZE)
            job = jobs.get(session, self.project_id, self.job_id)
            changed = job.version != self.version
            job_response = from_rows.job(session, job) if changed else None
        self.has_more = len(rows) == BATCH_SIZE
        messages = [_event_message(from_rows.event(row)) for row in rows]
        if rows:
            self.seq = rows[-1].seq
        if job_response is not None and not self.has_more:
            self.version = job.version
            ends_job = bool(rows) and _ends_job(rows[-1].type, rows[-1].data)
            position = len(messages) - 1 if ends_job else len(messages)
            messages.insert(position, _job_message(job_response))
        self.ended = job.status in TERMINAL and not self.has_more and job.event_seq <= self.seq
        return messages


def _event_message(event: schemas.EventResponse) -> bytes:
    return format_sse_event(id=str(event.seq), event=event.type, data_str=event.model_dump_json())


def _job_message(job: schemas.JobResponse) -> bytes:
    return format_sse_event(event="job", data_str=job.model_dump_json(by_alias=True))


def _ends_job(event_type: str, data: dict[str, object]) -> bool:
    return event_type == "status" and data.get("to") in TERMINAL
