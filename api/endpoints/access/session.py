"""Signing in from a browser: an API key, or the token of a sign-in address, becomes a cookie."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.dependencies import Caller, Database, IdempotentWork, ServiceSettings
from api.http import audit_entries
from api.http.authenticated_route import AuthenticatedRoute, StrictRoute
from api.http.authentication import Principal, session_lifetime, session_principal
from api.http.sessions import cookie
from api.openapi.responses import COOKIE_CLEARED, COOKIE_SET, problems
from api.representation.json_response import json_response
from api.representation.sessions import (
    CreateSessionRequest,
    SessionResponse,
    SignInMethodsResponse,
    SignInTokenResponse,
)
from core.errors import Forbidden, NotFound, Unauthenticated
from core.store.access import audit, keys, sessions
from core.store.access.sessions import Lifetime, ValidSession
from core.store.database.engine import read_session, write_session
from core.store.database.tables import ApiKeyRow, ProjectRow, SessionRow

router = APIRouter(prefix="/v1/session", tags=["session"], route_class=AuthenticatedRoute)
open_router = APIRouter(prefix="/v1/session", tags=["session"], route_class=StrictRoute)
"""What a browser needs before it is signed in."""


@open_router.post("", status_code=201, response_model=SessionResponse, responses=COOKIE_SET)
async def sign_in(
    request: Request, body: CreateSessionRequest, engine: Database, settings: ServiceSettings
) -> Response:
    """Begin a session with an API key, or with the token of a sign-in address.

    The response sets a cookie that authenticates as the key would. The session ends some hours
    after its last use, and with the key. A request that sends the cookie and changes something
    needs the Origin header of one of the service's own pages, which browsers send by themselves.
    """
    limits = request.app.state.limits
    key = None
    with limits.checking_key(request, audit_entries.client_address(request)):
        if body.key is not None:
            key = await run_in_threadpool(keys.authenticate, engine, body.key)
            limits.charge(request, key.id)
        lifetime = session_lifetime(settings)
        session, token = await run_in_threadpool(
            _begin_session, request, engine, key, body.token or "", lifetime
        )
    response = json_response(session, status=201)
    cookie.SESSION.save(request, response, token, lifetime.max_seconds)
    return response


def _begin_session(
    request: Request, engine: Engine, key: ApiKeyRow | None, sign_in_token: str, lifetime: Lifetime
) -> tuple[SessionResponse, str]:
    """Begin a session of ``key``, or of the key of ``sign_in_token``; return it with its token."""
    with write_session(engine) as session:
        if key is None:
            key = sessions.redeem_sign_in_token(session, sign_in_token)
        row, token = sessions.create(session, key, lifetime)
        principal = session_principal(ValidSession(row, key))
        request.state.principal = principal
        values = audit_entries.audit_values(request)
        audit.record(session, **values, status=201, target=row.id)
        return describe_caller(session, principal), token


@router.get("")
def get_session(caller: Caller, engine: Database) -> SessionResponse:
    """Get who the caller is: project, API key or person, and scopes."""
    with read_session(engine) as session:
        return describe_caller(session, caller)


@router.delete("", status_code=204, response_class=Response, responses=COOKIE_CLEARED)
def sign_out(request: Request, caller: Caller, engine: Database) -> Response:
    """End the session."""
    if caller.session_id is None:
        raise NotFound("This request was sent with an API key; there is no session to end.")
    with write_session(engine) as session:
        sessions.end(session, caller.session_id)
        values = audit_entries.audit_values(request)
        audit.record(session, **values, status=204, target=caller.session_id)
    response = Response(status_code=204)
    cookie.SESSION.save(request, response, "", 0)
    return response


@router.post(
    "/tokens", status_code=201, response_model=SignInTokenResponse, responses=problems(409)
)
def create_sign_in_token(caller: Caller, work: IdempotentWork) -> Response:
    """Create a one-time token, which begins a session of the same API key within ten minutes.

    The address that signs a browser in is `/sign-in#token=…`. Needs an API key itself: a session
    cannot prolong itself.
    """
    if caller.session_id is not None:
        raise Forbidden("Only an API key can make a sign-in address; a session cannot.")

    def create(session: Session) -> tuple[int, SignInTokenResponse]:
        row, token = sessions.create_sign_in_token(session, caller.key_id)
        return 201, SignInTokenResponse(token=token, expires_at=row.expires_at)

    return work.commit(create, redact=_without_token)


@open_router.get("/methods")
def list_sign_in_methods(settings: ServiceSettings) -> SignInMethodsResponse:
    """List how a person can sign in to this installation."""
    return SignInMethodsResponse(methods=["key", "oidc"] if settings.oidc_issuer else ["key"])


def describe_caller(session: Session, caller: Principal) -> SessionResponse:
    """Raises Unauthenticated for a session that has ended meanwhile."""
    project = session.get_one(ProjectRow, caller.project_id)
    key = session.get(ApiKeyRow, caller.key_id)
    row = session.get(SessionRow, caller.session_id) if caller.session_id is not None else None
    credential = row if caller.session_id is not None else key
    if credential is None:
        raise Unauthenticated("This session has ended; sign in again.")
    return SessionResponse(
        project_id=project.id,
        project=project.name,
        key_name=key.name if key is not None else None,
        subject=row.subject if row is not None else None,
        scopes=sorted(caller.scopes, key=keys.SCOPES.index),
        expires_at=credential.expires_at,
    )


def _without_token(response: SignInTokenResponse) -> SignInTokenResponse:
    """A secret is never stored, not even for replays."""
    return response.model_copy(update={"token": None})
