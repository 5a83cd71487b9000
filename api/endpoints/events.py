"""Everything that changes in a project, in pages and as a stream."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api.dependencies import (
    Database,
    Follow,
    LastEventId,
    Limit,
    QueryInt,
    Reader,
    Streams,
)
from api.events.project_stream import ProjectCursor, read_page
from api.events.server_sent_events import Stream, accepts_stream, parse_event_id
from api.http.authenticated_route import AuthenticatedRoute
from api.http.authentication import Principal
from api.representation.project_events import ProjectEventPage
from core.errors import Forbidden, Invalid
from core.store.project_events import ITEM_TYPES, ItemType

PROJECT_TYPES = tuple(item_type for item_type in ITEM_TYPES if item_type != "worker")
"""Workers serve all projects: they are for operators, as at ``/v1/workers``."""
_ONE_TYPE = "|".join(ITEM_TYPES)
Position = Annotated[
    QueryInt | None,
    Query(
        ge=0,
        le=2**53,
        description="Only changes with a greater `seq`; 0: from the oldest that is kept. "
        "Default: 0, but a stream that is followed begins with what happens from now on.",
    ),
]
Types = Annotated[
    str | None,
    Query(
        max_length=100,
        description=f"`{','.join(ITEM_TYPES)}`, or some of them.",
        # For the document only: what is wrong is said in a better sentence than of a pattern.
        json_schema_extra={"pattern": f"^({_ONE_TYPE})(,({_ONE_TYPE}))*$"},
    ),
]
router = APIRouter(prefix="/v1/events", tags=["events"], route_class=AuthenticatedRoute)


@router.get(
    "",
    response_model=ProjectEventPage,
    responses={
        200: {
            "description": "A page of changes; with `Accept: text/event-stream` a stream of them, "
            "each as an event named for its type, and `event: reset` where some may be missing",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
)
async def list_project_events(
    request: Request,
    caller: Reader,
    engine: Database,
    streams: Streams,
    after: Position = None,
    limit: Limit = 50,
    types: Types = None,
    follow: Follow = True,
    last_event_id: LastEventId = None,
) -> ProjectEventPage | StreamingResponse:
    """List what has changed in the API key's project: jobs, sweeps, models and data sets.

    For operators also workers, which serve all projects. A stream of changes goes on until it is
    closed, with a comment every 15 s. Changes are kept for a day; a client that has missed some
    gets `event: reset` and has to load everything again.
    """
    item_types = _parse_types(types, caller)
    if not accepts_stream(request):
        return await run_in_threadpool(
            read_page, engine, caller.project_id, after or 0, item_types, limit
        )
    start = parse_event_id(last_event_id)
    if start is None:
        start = after if after is not None or follow else 0
    return Stream(
        streams.projects,
        caller.project_id,
        ProjectCursor(engine, caller.project_id, start, item_types),
        credential_id=caller.credential_id,
        threads=streams.threads,
        follow=follow,
    ).response()


def _parse_types(text: str | None, caller: Principal) -> frozenset[ItemType]:
    """Return the types to be listed: by default all that the caller may see.

    Raises Invalid, and Forbidden for workers without the scope that lists them.
    """
    if text is None:
        return frozenset(ITEM_TYPES if "operator" in caller.scopes else PROJECT_TYPES)
    names = text.split(",")
    unknown = [name for name in names if name not in ITEM_TYPES]
    if unknown:
        message = f"There is no type {unknown[0]!r}; there are {', '.join(ITEM_TYPES)}."
        raise Invalid.field("types", message=message)
    if "worker" in names and "operator" not in caller.scopes:
        raise Forbidden(
            "Changes of workers need the scope 'operator', as the list of workers does."
        )
    return frozenset(item_type for item_type in ITEM_TYPES if item_type in names)
