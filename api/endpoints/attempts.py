"""The attempts at a job, and their logs: as pages, live, or as a text file."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine

from api.dependencies import (
    Database,
    Follow,
    LastEventId,
    ObjectStore,
    QueryInt,
    Reader,
    Streams,
)
from api.events.log_stream import LogCursor, LogPosition, parse_position
from api.events.server_sent_events import Stream
from api.http.authenticated_route import AuthenticatedRoute
from api.http.negotiation import preferred_media_type
from api.openapi.responses import problems
from api.representation import attempts as representation
from api.representation import schemas
from api.representation.attempts import AttemptResponse, LogLineResponse
from api.representation.json_response import json_response
from api.representation.pagination import page_of
from core.errors import NotFound
from core.store import jobs, logs
from core.store.database.engine import read_session
from core.store.lifecycle import attempt_records
from core.store.logs import LogLine
from core.store.objects import log_archive
from core.store.objects.store import Objects

MEDIA_TYPES: dict[str | None, str] = {"json": "application/json", "text": "text/plain"}
"""By the parameter ``format``."""
LOG_MEDIA_TYPES = ("application/json", "text/event-stream", "text/plain")
router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"], route_class=AuthenticatedRoute)
AttemptNumber = Annotated[
    QueryInt | None, Query(ge=1, le=2**31, description="Number of an attempt. Default: the newest.")
]
Seq = Annotated[QueryInt, Query(ge=0, le=2**53, description="Only lines with a greater `seq`.")]
LineLimit = Annotated[QueryInt, Query(ge=1, le=1000, description="Maximum number of lines.")]
LogFormat = Annotated[
    Literal["json", "text"] | None, Query(description="Instead of an Accept header.")
]
Tail = Annotated[
    QueryInt | None, Query(ge=0, le=100_000, description="Only so many of the newest lines.")
]


@router.get("/attempts", responses=problems(404))
def list_attempts(
    job_id: str,
    caller: Reader,
    engine: Database,
    after: Annotated[
        QueryInt, Query(ge=0, le=2**31, description="Only attempts with a greater number.")
    ] = 0,
    limit: Annotated[QueryInt, Query(ge=1, le=200)] = 50,
) -> schemas.Page[AttemptResponse]:
    """List the attempts at a job, in order: who made them, when, and how they ended."""
    with read_session(engine) as session:
        jobs.get(session, caller.project_id, job_id)  # raises NotFound
        rows = attempt_records.list_attempts(session, job_id, after, limit + 1)
        logs_by_attempt = logs.by_attempt(session, job_id, [row.number for row in rows])
    data = [representation.attempt(row, logs_by_attempt.get(row.number)) for row in rows[:limit]]
    return page_of(data, str(data[-1].number) if len(rows) > limit else None)


@router.get(
    "/logs",
    response_model=schemas.Page[LogLineResponse],
    responses={
        200: {
            "description": "A page of lines. With `Accept: text/event-stream` a stream of them, "
            "each as `event: line`, that ends with `event: end`; with `Accept: text/plain` or "
            "`format=text` the whole log as a file",
            "content": {
                "text/event-stream": {"schema": {"type": "string"}},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
        **problems(404),
    },
)
async def get_logs(
    job_id: str,
    request: Request,
    caller: Reader,
    engine: Database,
    objects: ObjectStore,
    streams: Streams,
    attempt: AttemptNumber = None,
    after: Seq = 0,
    tail: Tail = None,
    limit: LineLimit = 200,
    format: LogFormat = None,
    follow: Follow = True,
    last_event_id: LastEventId = None,
) -> Response:
    """Get the log of a job: what its trainer printed, and what its worker noted about it.

    A stream of the newest attempt goes on with the attempts that follow, until the job has ended;
    one of a given attempt ends with that. Of very long logs the middle is left out.
    """
    position = LogPosition(attempt or 0, after)
    start = await run_in_threadpool(_start, engine, caller.project_id, job_id, position, tail)
    media_type = MEDIA_TYPES.get(format) or preferred_media_type(request, LOG_MEDIA_TYPES)
    if media_type == "text/plain":
        return await run_in_threadpool(_text, engine, objects, job_id, start)
    if media_type == "application/json":
        return await run_in_threadpool(_page, engine, objects, job_id, start, limit)
    resumed = parse_position(last_event_id)
    if resumed is not None and attempt in {None, resumed.attempt}:
        start = resumed
    only_attempt = attempt is not None
    cursor = LogCursor(engine, objects, job_id, start, only_attempt=only_attempt, follow=follow)
    return Stream(
        streams.logs,
        job_id,
        cursor,
        credential_id=caller.credential_id,
        threads=streams.threads,
        follow=follow,
    ).response()


def _start(
    engine: Engine, project_id: str, job_id: str, position: LogPosition, tail: int | None
) -> LogPosition:
    """Return where the requested lines begin; attempt 0 where there is none yet.

    Raises NotFound where the project has no such job, or the job no such attempt.
    """
    with read_session(engine) as session:
        jobs.get(session, project_id, job_id)
        if position.attempt:
            record = attempt_records.get(session, job_id, position.attempt)
        else:
            newest = attempt_records.latest(session, job_id)
            if newest is None:
                return position
            record = newest
        log = None if tail is None else logs.get(session, job_id, record.number)
    first = max(0, log.lines - (tail or 0)) if log is not None else 0
    return LogPosition(record.number, max(position.seq, first))


def _page(
    engine: Engine, objects: Objects, job_id: str, start: LogPosition, limit: int
) -> Response:
    lines = log_archive.read_lines(engine, objects, job_id, *start)
    data = [representation.log_line(line, start.attempt) for line in lines[:limit]]
    next_cursor = str(data[-1].seq) if len(lines) > limit else None
    return json_response(page_of(data, next_cursor))


def _text(engine: Engine, objects: Objects, job_id: str, start: LogPosition) -> Response:
    """Raises NotFound before the first attempt."""
    if not start.attempt:
        raise NotFound(f"Job {job_id} has no log yet: no worker has begun it.")
    lines = log_archive.read_lines(engine, objects, job_id, *start)
    name = f"{job_id}-attempt-{start.attempt}.log"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-cache"}
    return Response(_text_lines(lines), 200, headers, "text/plain; charset=utf-8")


def _text_lines(lines: Sequence[LogLine]) -> str:
    return "".join(f"{schemas.rfc3339(line.at)} {line.stream:<10} {line.text}\n" for line in lines)
