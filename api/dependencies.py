"""What endpoints depend on, as Annotated aliases: the caller, the unit of work, the application's
database, objects and settings, and strictly parsed query parameters."""

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request
from pydantic import BeforeValidator
from sqlalchemy import Engine

from api.events.open_streams import OpenStreams
from api.http.authentication import Principal, any_principal, require_scope
from api.http.telemetry import Telemetry
from api.http.unit_of_work import IdempotencyKey, UnitOfWork
from core.settings import Settings
from core.store.objects.store import Objects

Caller = Annotated[Principal, Depends(any_principal)]
Reader = Annotated[Principal, Depends(require_scope("read"))]
Submitter = Annotated[Principal, Depends(require_scope("submit"))]
Admin = Annotated[Principal, Depends(require_scope("admin"))]
Operator = Annotated[Principal, Depends(require_scope("operator"))]


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _objects(request: Request) -> Objects:
    objects: Objects = request.app.state.objects
    return objects


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _streams(request: Request) -> OpenStreams:
    streams: OpenStreams = request.app.state.streams
    return streams


async def _telemetry(request: Request) -> Telemetry:
    telemetry: Telemetry = request.app.state.telemetry
    return telemetry


async def _unit_of_work(request: Request) -> UnitOfWork:
    return UnitOfWork(request)


async def _idempotent_work(request: Request, idempotency_key: IdempotencyKey = None) -> UnitOfWork:
    return UnitOfWork(request, idempotency_key)


Database = Annotated[Engine, Depends(_engine)]
ObjectStore = Annotated[Objects, Depends(_objects)]
ServiceSettings = Annotated[Settings, Depends(_settings)]
Streams = Annotated[OpenStreams, Depends(_streams)]
RequestTelemetry = Annotated[Telemetry, Depends(_telemetry)]
Work = Annotated[UnitOfWork, Depends(_unit_of_work)]
"""For PUT and DELETE, which are idempotent by themselves."""
IdempotentWork = Annotated[UnitOfWork, Depends(_idempotent_work)]
"""For POST and PATCH, which take an Idempotency-Key."""


def _parse_bool(text: Any) -> Any:
    if text not in {True, False, "true", "false"}:
        raise ValueError("true or false is needed")
    return text in {True, "true"}


def _parse_int(text: Any) -> Any:
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("a whole number is needed")
    return int(text)


# Stricter than pydantic's own parsing of query strings, which takes "yes", "1.0" and "1_000".
QueryBool = Annotated[bool, BeforeValidator(_parse_bool)]
QueryInt = Annotated[int, BeforeValidator(_parse_int)]

Limit = Annotated[QueryInt, Query(ge=1, le=200, description="Maximum number of items on the page.")]
Follow = Annotated[
    QueryBool,
    Query(description="`false`: a stream ends with what there is so far. Pages ignore it."),
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=100,
        description="Id of the last event received, to continue a stream.",
    ),
]
Sort = Annotated[
    str,
    Query(
        max_length=250,
        description="`created_at`, or the key of a result, such as `autoattack@linf:8/255`; with - "
        "before it, the greatest first.",
    ),
]
SearchText = Annotated[
    str | None,
    Query(
        max_length=200,
        pattern=r"^[^\x00]*$",
        description="Words: only items whose id, name or metadata has, for each of them, a word "
        "that begins with it.",
    ),
]
IncludeTotal = Annotated[
    QueryBool, Query(description="Also return the number of items on all pages, as `total`.")
]
Deleted = Annotated[
    QueryBool,
    Query(description="`true`: only what was deleted and can still be restored, and nothing else."),
]
After = Annotated[
    str | None, Query(max_length=200, description="The `next_cursor` of the previous page.")
]
