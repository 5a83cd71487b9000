"""A job's events as they happen, as text/event-stream: replayed from where the caller left off, then live until its end."""

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


def stream_events(watch: JobChanges, project_id: str, job_id: str, after: int) -> StreamingResponse:
    """The answer. That the job is there and the caller's was checked before."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _messages(watch, project_id, job_id, after), 200, headers, "text/event-stream"
    )


async def _messages(watch: JobChanges, project_id: str, job_id: str, after: int) -> AsyncIterator[bytes]:
    look = _EventCursor(watch, project_id, job_id, after)
    with watch.subscribe(job_id) as change:
        yield RETRY_HINT
        while not watch.closing:
            try:
                batch = await to_thread.run_sync(look.next, limiter=watch.threads)
            except Unavailable:
                yield KEEP_ALIVE
                await change.wait(RETRY_SECONDS)
                continue
            for message in batch:
                yield message
            if look.ended:
                return
            if not look.behind and not await change.wait(KEEP_ALIVE_SECONDS):
                yield KEEP_ALIVE


class _EventCursor:
    """What one stream has sent so far, and what comes next."""

    def __init__(self, watch: JobChanges, project_id: str, job_id: str, after: int) -> None:
        self.watch, self.project_id, self.job_id = watch, project_id, job_id
        self.seq = after
        self.version = 0
        self.behind = False
        """There is more to be read at once."""
        self.ended = False

    def next(self) -> list[bytes]:
        """New events, and the job if it has changed: before the event that ends it, for that one is the last message.

        Nothing once the service is ending: of a thousand streams most wait for a thread here.
        """
        if self.watch.closing:
            return []
        with read_session(self.watch.engine) as session:
            rows = events.list_after(session, self.job_id, self.seq, BATCH_SIZE)
            job = jobs.get(session, self.project_id, self.job_id)
            news = from_rows.job(session, job) if job.version != self.version else None
        self.behind = len(rows) == BATCH_SIZE
        messages = [_event(from_rows.event(row)) for row in rows]
        if rows:
            self.seq = rows[-1].seq
        if news is not None and not self.behind:
            self.version = job.version
            last = messages[-1:] if rows and _ends(rows[-1].type, rows[-1].data) else []
            kept = messages[: len(messages) - len(last)]
            messages = [
                *kept,
                format_sse_event(event="job", data_str=news.model_dump_json(by_alias=True)),
                *last,
            ]
        self.ended = job.status in TERMINAL and not self.behind and job.event_seq <= self.seq
        return messages


def _event(event: schemas.EventResponse) -> bytes:
    return format_sse_event(id=str(event.seq), event=event.type, data_str=event.model_dump_json())


def _ends(type: str, data: dict[str, object]) -> bool:
    return type == "status" and data.get("to") in TERMINAL
