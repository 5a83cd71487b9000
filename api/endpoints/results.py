"""What a job has produced: events, report, checkpoints and other files."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine

from api.dependencies import (
    After,
    Database,
    Follow,
    LastEventId,
    Limit,
    ObjectStore,
    QueryInt,
    Reader,
    ServiceSettings,
    Streams,
)
from api.events.job_stream import JobCursor
from api.events.server_sent_events import Stream, accepts_stream, parse_event_id
from api.http.authenticated_route import AuthenticatedRoute
from api.http.negotiation import preferred_media_type
from api.openapi.responses import DOWNLOAD_RESPONSES, NOT_MODIFIED, problems
from api.representation import from_rows, schemas
from api.representation.pagination import page_of, paginate
from api.transfers import downloads
from core.errors import NotFound
from core.reportspec.report import Report
from core.store import artifacts, events, jobs
from core.store.database.engine import read_session
from core.store.database.tables import ArtifactRow, EventRow

REPORT = PurePath("report.json")
REPORT_FORMATS = {"application/json": "json", "text/html": "html", "text/markdown": "md"}
REPORT_CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report shows names that callers chose. With this policy a browser runs no script in it."""
ACTIVE_MEDIA_TYPES = ("text/html", "image/svg")
"""May hold scripts, so they are never redirected: the object store does not send the API's
Content-Security-Policy."""
router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"], route_class=AuthenticatedRoute)


@router.get(
    "/events",
    response_model=schemas.Page[schemas.EventResponse],
    responses={
        200: {
            "description": "A page of events; with `Accept: text/event-stream` a stream of events, "
            "and of the job itself as `event: job`",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problems(404),
    },
)
async def list_events(
    job_id: str,
    request: Request,
    caller: Reader,
    engine: Database,
    streams: Streams,
    after: Annotated[
        QueryInt, Query(ge=0, le=2**53, description="Only events with a greater `seq`.")
    ] = 0,
    limit: Annotated[QueryInt, Query(ge=1, le=200)] = 50,
    follow: Follow = True,
    last_event_id: LastEventId = None,
) -> schemas.Page[schemas.EventResponse] | StreamingResponse:
    """List the events of a job, in order.

    A stream of them lasts until the job has ended, with a comment every 15 s.
    """
    if accepts_stream(request):
        await run_in_threadpool(_require_job, engine, caller.project_id, job_id)
        start = parse_event_id(last_event_id)
        return Stream(
            streams.jobs,
            job_id,
            JobCursor(engine, job_id, after if start is None else start),
            credential_id=caller.credential_id,
            threads=streams.threads,
            follow=follow,
        ).response()
    rows = await run_in_threadpool(_events, engine, caller.project_id, job_id, after, limit + 1)
    data = [from_rows.event(row) for row in rows[:limit]]
    return page_of(data, str(data[-1].seq) if len(rows) > limit else None)


@router.get(
    "/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report as JSON, as Markdown, or as one self-contained HTML file",
            "model": Report,
            "content": {
                "text/markdown": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            },
        },
        **NOT_MODIFIED,
        **problems(404),
    },
)
def get_report(
    job_id: str,
    request: Request,
    caller: Reader,
    engine: Database,
    objects: ObjectStore,
    form: Annotated[
        Literal["json", "md", "html"] | None,
        Query(alias="format", description="Default: as the Accept header prefers, or JSON."),
    ] = None,
) -> Response:
    """Get the robustness report of an evaluated job.

    The JSON Schema of a report is at `/v1/schemas/report`.
    """
    extension = form or REPORT_FORMATS[preferred_media_type(request, list(REPORT_FORMATS))]
    name = REPORT.with_suffix(f".{extension}").name
    file = _stored_file(_artifact(engine, caller.project_id, job_id, name))
    response = downloads.serve(request, objects, file, direct=True, inline=True)
    response.headers["Content-Security-Policy"] = REPORT_CONTENT_POLICY
    response.headers["Vary"] = "Accept"
    return response


@router.get("/checkpoints", responses=problems(404))
def list_checkpoints(
    job_id: str,
    caller: Reader,
    engine: Database,
    settings: ServiceSettings,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[schemas.ArtifactResponse]:
    """List the stored checkpoints of a job, by name."""
    rows = _artifacts(engine, caller.project_id, job_id, "checkpoint")
    items = [from_rows.artifact(row, settings.root_path) for row in rows]
    return paginate(items, after, limit)


@router.get("/artifacts", responses=problems(404))
def list_artifacts(
    job_id: str,
    caller: Reader,
    engine: Database,
    settings: ServiceSettings,
    kind: artifacts.ArtifactKind | None = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[schemas.ArtifactResponse]:
    """List the files of a job, by name."""
    rows = _artifacts(engine, caller.project_id, job_id, kind)
    items = [from_rows.artifact(row, settings.root_path) for row in rows]
    return paginate(items, after, limit)


@router.get("/artifacts/{name}", response_class=StreamingResponse, responses=DOWNLOAD_RESPONSES)
@router.head("/artifacts/{name}", response_class=StreamingResponse, responses=DOWNLOAD_RESPONSES)
def download_artifact(
    job_id: str,
    name: str,
    request: Request,
    caller: Reader,
    engine: Database,
    objects: ObjectStore,
    direct: downloads.DirectDownload = False,
) -> Response:
    """Download a file of a job, or a range of it. Its ETag and Repr-Digest are its SHA-256."""
    row = _artifact(engine, caller.project_id, job_id, name)
    is_active = row.media_type.startswith(ACTIVE_MEDIA_TYPES)
    return downloads.serve(request, objects, _stored_file(row), direct=direct or is_active)


def _require_job(engine: Engine, project_id: str, job_id: str) -> None:
    """Raises NotFound."""
    with read_session(engine) as session:
        jobs.get(session, project_id, job_id)


def _events(engine: Engine, project_id: str, job_id: str, after: int, limit: int) -> list[EventRow]:
    with read_session(engine) as session:
        jobs.get(session, project_id, job_id)  # raises NotFound
        return events.list_after(session, job_id, after, limit)


def _artifacts(
    engine: Engine, project_id: str, job_id: str, kind: artifacts.ArtifactKind | None
) -> Sequence[ArtifactRow]:
    with read_session(engine) as session:
        jobs.get(session, project_id, job_id)  # raises NotFound
        return artifacts.list_artifacts(session, job_id, kind)


def _artifact(engine: Engine, project_id: str, job_id: str, name: str) -> ArtifactRow:
    with read_session(engine) as session:
        job = jobs.get(session, project_id, job_id)
        try:
            return artifacts.get(session, job_id, name)
        except NotFound:
            if PurePath(name).stem != REPORT.stem:
                raise
            message = f"Job {job_id} is {job.status} and has no report yet."
            raise NotFound(message, code="no_report_yet") from None


def _stored_file(row: ArtifactRow) -> downloads.DownloadFile:
    return downloads.DownloadFile(row.object_key, row.name, row.size, row.sha256, row.media_type)
