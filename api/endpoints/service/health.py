"""Liveness, readiness and metrics of the service."""

from fastapi import APIRouter, Response

from api.dependencies import Database, ObjectStore, Operator, RequestTelemetry, Streams
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import any_body
from api.representation import schemas
from core.store import jobs
from core.store.database import schema
from core.store.database.engine import read_session

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROBE_KEY = "uploads/readiness/probe"
"""Nothing is ever stored under it: asking for it only shows that the object store responds."""

open_router = APIRouter(tags=["service"])
"""What needs no API key."""
router = APIRouter(tags=["service"], route_class=AuthenticatedRoute)


@open_router.get("/healthz")
async def alive() -> schemas.Health:
    """Report that the process responds."""
    return schemas.Health(status="ok")


@open_router.get("/readyz")
def ready(engine: Database, objects: ObjectStore) -> schemas.Readiness:
    """Report whether database and object store respond; 503 otherwise.

    The database must have the schema of this version of the program.
    """
    with read_session(engine) as session:
        schema.require_current(session)
    objects.exists(PROBE_KEY)
    return schemas.Readiness(status="ready", database="ok", objects="ok")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: any_body("Metrics in Prometheus' text format", "text/plain")},
)
def metrics(
    caller: Operator, engine: Database, telemetry: RequestTelemetry, streams: Streams
) -> Response:
    """Get request counts and latencies by route, jobs by status, and open event streams.

    They cover all projects, so this is for operators.
    """
    with read_session(engine) as session:
        counts = jobs.count_by_status(session)
    text = telemetry.render(counts, streams.count)
    return Response(text, media_type=CONTENT_TYPE)
