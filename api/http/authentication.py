"""Who calls: the API key of a request, its project, and the scopes it grants."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from sqlalchemy import Engine

from core.errors import Forbidden, Unauthenticated
from core.store.access import keys
from core.store.access.keys import Scope


@dataclass(frozen=True)
class Principal:
    """The caller: an API key, and the one project that it belongs to."""

    key_id: str
    project_id: str
    scopes: frozenset[str]


def bearer_token(request: Request) -> str:
    """Return the API key in ``Authorization: Bearer <key>``; cookies and the like are ignored.

    Raises Unauthenticated.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send an API key: Authorization: Bearer <key>.")
    return token.strip()


def authenticate(engine: Engine, secret: str) -> Principal:
    """Return the principal that an API key's secret belongs to. Raises Unauthenticated."""
    key = keys.authenticate(engine, secret)
    return Principal(key.id, key.project_id, frozenset(key.scopes))


def require_scope(scope: Scope) -> Callable[[Request], Coroutine[Any, Any, Principal]]:
    """Make the dependency that returns the caller. It raises Forbidden without ``scope``."""

    async def principal(request: Request) -> Principal:
        caller: Principal = request.state.principal
        if scope not in caller.scopes:
            scopes = ", ".join(sorted(caller.scopes))
            raise Forbidden(f"This API key lacks the scope {scope!r}; it has {scopes}.")
        return caller

    return principal
