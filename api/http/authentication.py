"""Who calls: the API key or session of a request, its project, and the scopes it grants."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine

from api.http import audit_entries
from api.http.sessions import cookie
from core.errors import Forbidden, Unauthenticated
from core.settings import Settings
from core.store.access import keys, sessions
from core.store.access.keys import Scope
from core.store.access.sessions import Lifetime, ValidSession

SECONDS_PER_HOUR = 3600
SECONDS_PER_DAY = 24 * SECONDS_PER_HOUR


@dataclass(frozen=True)
class Principal:
    """The caller: an API key or a session, and the one project that it belongs to."""

    key_id: str
    """Of the API key; for a session that has none, the session's own id."""
    project_id: str
    scopes: frozenset[str]
    session_id: str | None = None
    """None for a caller that sent an API key itself."""

    @property
    def credential_id(self) -> str:
        """The id of what authenticated the request: of the session, or of the API key."""
        return self.session_id or self.key_id


async def authenticate_request(request: Request) -> Principal:
    """Return the caller. Where there are an Authorization header and a cookie, the header decides.

    Raises Unauthenticated, WrongOrigin, and RateLimited after too many wrong keys from the address.
    """
    state = request.app.state
    token = None if "authorization" in request.headers else cookie.read_session(request)
    if token is not None:
        # Not counted as a wrong key: the open pages of a session that has ended send many requests.
        return await run_in_threadpool(authenticate_session, state.engine, token, state.settings)
    secret = bearer_token(request)
    with state.limits.checking_key(request, audit_entries.client_address(request)):
        return await run_in_threadpool(authenticate, state.engine, secret)


def bearer_token(request: Request) -> str:
    """Return the API key in ``Authorization: Bearer <key>``. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send an API key: Authorization: Bearer <key>.")
    return token.strip()


def authenticate(engine: Engine, secret: str) -> Principal:
    """Return the principal that an API key's secret belongs to. Raises Unauthenticated."""
    key = keys.authenticate(engine, secret)
    return Principal(key.id, key.project_id, frozenset(key.scopes))


def authenticate_session(engine: Engine, token: str, settings: Settings) -> Principal:
    """Return the principal that a session's token belongs to. Raises Unauthenticated."""
    return session_principal(sessions.authenticate(engine, token, session_lifetime(settings)))


def session_principal(session: ValidSession) -> Principal:
    row = session.row
    return Principal(row.key_id or row.id, row.project_id, frozenset(session.scopes), row.id)


def session_lifetime(settings: Settings) -> Lifetime:
    return Lifetime(
        settings.session_hours * SECONDS_PER_HOUR, settings.session_days * SECONDS_PER_DAY
    )


def require_scope(scope: Scope) -> Callable[[Request], Coroutine[Any, Any, Principal]]:
    """Make the dependency that returns the caller. It raises Forbidden without ``scope``."""

    async def principal(request: Request) -> Principal:
        caller: Principal = request.state.principal
        if scope not in caller.scopes:
            credential = "API key" if caller.session_id is None else "session"
            scopes = ", ".join(sorted(caller.scopes))
            raise Forbidden(f"This {credential} lacks the scope {scope!r}; it has {scopes}.")
        return caller

    return principal


async def any_principal(request: Request) -> Principal:
    """Return the caller, whatever its scopes."""
    caller: Principal = request.state.principal
    return caller
