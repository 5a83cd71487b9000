"""What a job has to show: events, report, checkpoints and other files."""

from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine

from api.dependencies import After, Database, Limit, Reader, ObjectStore, QueryInt
from api.events import server_sent_events
from api.http import pagination
from api.http.authenticated_route import AuthenticatedRoute
from api.http.authentication import Principal
from api.http.negotiation import preferred_media_type
from api.openapi.responses import DOWNLOAD_RESPONSES, NOT_MODIFIED, problems
from api.representation import from_rows, schemas
from api.transfers import downloads
from core.errors import NotFound
from core.reportspec.report import Report
from core.store import artifacts, events, jobs
from core.store.database import tables
from core.store.database.engine import read_session

REPORT = PurePath("report.json")
REPORT_FORMS = {"application/json": "json", "text/html": "html", "text/markdown": "md"}
REPORT_CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report shows what callers named; whatever it holds, a browser runs nothing of it."""
RUNNABLE = ("text/html", "image/svg")
"""A browser that opened one at the object store's own address would not be told to run nothing of it."""
router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"], route_class=AuthenticatedRoute)


@router.get(
    "/events",
    response_model=schemas.Page[schemas.EventResponse],
    responses={
        200: {
            "description": "A page of events; with `Accept: text/event-stream` a stream of them, with the job as `event: job`",
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
    after: Annotated[QueryInt, Query(ge=0, le=2**53, description="Events with a greater `seq`.")] = 0,
    limit: Annotated[QueryInt, Query(ge=1, le=200)] = 50,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID", max_length=100, description="Where a stream is taken up again."
        ),
    ] = None,
) -> Any:
    """What happened to the job, in order. As a stream it goes on until the job has ended, with a comment every 15 s."""
    wanted = "text/event-stream" in request.headers.get("accept", "")
    found = await run_in_threadpool(_events, engine, caller, job_id, after, limit + 1)
    if wanted:
        resumed = (
            int(last_event_id)
            if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 16
            else after
        )
        return server_sent_events.stream_events(
            request.app.state.watch, caller.project_id, job_id, resumed
        )
    more = len(found) > limit
    data = [from_rows.event(row) for row in found[:limit]]
    return schemas.Page[schemas.EventResponse](
        data=data, has_more=more, next_cursor=str(data[-1].seq) if more else None
    )


@router.get(
    "/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report: for programs, or for people as Markdown or one self-contained HTML file",
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
        Query(alias="format", description="Default: what `Accept` asks for, or JSON."),
    ] = None,
) -> Any:
    """The robustness report of a job that has been evaluated. Its JSON Schema alone is at `/v1/schemas/report`."""
    ending = form or REPORT_FORMS[preferred_media_type(request, list(REPORT_FORMS))]
    row = _artifact(engine, caller, job_id, REPORT.with_suffix(f".{ending}").name)
    response = downloads.serve(request, objects, _file(row), direct=True, inline=True)
    response.headers["Content-Security-Policy"] = REPORT_CONTENT_POLICY
    response.headers["Vary"] = "Accept"
    return response


@router.get("/checkpoints", responses=problems(404))
def list_checkpoints(
    job_id: str, caller: Reader, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.ArtifactResponse]:
    """The checkpoints that are kept, by name."""
    return _artifacts(engine, caller, job_id, "checkpoint", after, limit)


@router.get("/artifacts", responses=problems(404))
def list_artifacts(
    job_id: str,
    caller: Reader,
    engine: Database,
    kind: artifacts.ArtifactKind | None = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[schemas.ArtifactResponse]:
    """The job's files, by name."""
    return _artifacts(engine, caller, job_id, kind, after, limit)


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
) -> Any:
    """One file, or the range of it that is asked for. Its ETag and Repr-Digest are its SHA-256."""
    row = _artifact(engine, caller, job_id, name)
    runs = row.media_type.startswith(RUNNABLE)
    return downloads.serve(request, objects, _file(row), direct=direct or runs)


def _events(
    engine: Engine, caller: Principal, job_id: str, after: int, limit: int
) -> list[tables.EventRow]:
    with read_session(engine) as session:
        jobs.get(session, caller.project_id, job_id)
        return events.list_after(session, job_id, after, limit)


def _artifacts(
    engine: Engine,
    caller: Principal,
    job_id: str,
    kind: artifacts.ArtifactKind | None,
    after: str | None,
    limit: int,
) -> schemas.Page[schemas.ArtifactResponse]:
    with read_session(engine) as session:
        jobs.get(session, caller.project_id, job_id)
        return pagination.paginate(
            [from_rows.artifact(row) for row in artifacts.list_artifacts(session, job_id, kind)],
            after,
            limit,
        )


def _artifact(engine: Engine, caller: Principal, job_id: str, name: str) -> tables.ArtifactRow:
    with read_session(engine) as session:
        job = jobs.get(session, caller.project_id, job_id)
        try:
            return artifacts.get(session, job_id, name)
        except NotFound:
            if PurePath(name).stem != REPORT.stem:
                raise
            raise NotFound(
                f"Job {job_id} is {job.status} and has no report yet.", code="no_report_yet"
            ) from None


def _file(row: tables.ArtifactRow) -> downloads.StoredFile:
    return downloads.StoredFile(row.object_key, row.name, row.size, row.sha256, row.media_type)
