"""What endpoints ask for, as Annotated aliases: who calls, the database, the objects, the settings."""

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator
from sqlalchemy import Engine

from api.http.authentication import Principal
from core.errors import Forbidden
from core.settings import Settings
from core.store.objects.store import Objects


def _needs(scope: str) -> Callable[[Request], Coroutine[Any, Any, Principal]]:
    async def principal(request: Request) -> Principal:
        found: Principal = request.state.principal
        if scope not in found.scopes:
            raise Forbidden(
                f"This key lacks the scope {scope!r}; it has {', '.join(sorted(found.scopes))}."
            )
        return found

    return principal


Reader = Annotated[Principal, Depends(_needs("read"))]
Submitter = Annotated[Principal, Depends(_needs("submit"))]
Admin = Annotated[Principal, Depends(_needs("admin"))]
Operator = Annotated[Principal, Depends(_needs("operator"))]


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _objects(request: Request) -> Objects:
    objects: Objects = request.app.state.objects
    return objects


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Database = Annotated[Engine, Depends(_engine)]
ObjectStore = Annotated[Objects, Depends(_objects)]
ServiceSettings = Annotated[Settings, Depends(_settings)]


def _flag(text: Any) -> Any:
    if text not in {True, False, "true", "false"}:
        raise ValueError("true or false is needed")
    return text in {True, "true"}


def _whole(text: Any) -> Any:
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("a whole number is needed")
    return int(text)


# Stricter than pydantic's own reading of query strings, which takes "yes", "1.0" and "1_000".
QueryBool = Annotated[bool, BeforeValidator(_flag)]
QueryInt = Annotated[int, BeforeValidator(_whole)]

Limit = Annotated[QueryInt, Query(ge=1, le=200, description="How many, at most.")]
After = Annotated[
    str | None, Query(max_length=200, description="The `next_cursor` of the page before.")
]
