"""Is it alive, is it ready, and how is it doing."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.dependencies import Database, Operator, ObjectStore
from api.http.authenticated_route import AuthenticatedRoute
from api.http.telemetry import Telemetry
from api.openapi.responses import any_body
from api.representation import schemas
from core.store import jobs
from core.store.database import schema
from core.store.database.engine import read_session

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NEVER_STORED = "uploads/readiness/probe"

open_router = APIRouter(tags=["service"])
router = APIRouter(tags=["service"], route_class=AuthenticatedRoute)


async def _telemetry(request: Request) -> Telemetry:
    telemetry: Telemetry = request.app.state.telemetry
    return telemetry


@open_router.get("/healthz")
async def alive() -> schemas.Health:
    """The process answers."""
    return schemas.Health(status="ok")


@open_router.get("/readyz")
def ready(engine: Database, objects: ObjectStore) -> schemas.Readiness:
    """The database is of this program's schema and answers, and so does the object store; 503 otherwise."""
    with read_session(engine) as session:
        schema.require_current(session)
    objects.exists(NEVER_STORED)
    return schemas.Readiness(status="ready", database="ok", objects="ok")


TelemetryOf = Annotated[Telemetry, Depends(_telemetry)]


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: any_body("Prometheus' text format", "text/plain")},
)
def metrics(
    request: Request, caller: Operator, engine: Database, telemetry: TelemetryOf
) -> Response:
    """Request counters and latencies by route, jobs by status, open event streams; of all projects, so for operators."""
    with read_session(engine) as session:
        counts = jobs.count_by_status(session)
    return Response(
        telemetry.render(counts, request.app.state.watch.streams), media_type=CONTENT_TYPE
    )
