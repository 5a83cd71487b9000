"""Signing in through an OpenID Connect provider: the way there and the way back.

Both are addresses that the browser itself opens, so what goes wrong leads to the sign-in page,
which says it in a sentence: ``/sign-in?error=CODE``.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from sqlalchemy import or_, select

from api.dependencies import ServiceSettings
from api.http import audit_entries
from api.http.authentication import session_lifetime, session_principal
from api.http.problems import RateLimited
from api.http.sessions import cookie
from api.http.sessions.oidc import ATTEMPT_SECONDS, Attempt, Person, Provider, SignInFailed
from api.openapi.responses import REDIRECT, problems
from core.errors import DistillError, NotFound
from core.store.access import audit, sessions
from core.store.access.sessions import Lifetime, ValidSession
from core.store.database.engine import write_session
from core.store.database.tables import ProjectRow

router = APIRouter(prefix="/v1/session/oidc", tags=["session"])
"""Not strict about query parameters: providers add some of their own."""
ReturnTo = Annotated[
    str,
    Query(
        max_length=1000,
        # No slash or backslash after the first: browsers would take that for another host.
        pattern=r"^/([!-.0-\[\]-~][!-~]*)?$",
        description="Path of the page to go to in the end.",
    ),
]
_Text = Annotated[str, Query(max_length=4000)]


@router.get("", status_code=303, response_class=Response, responses=REDIRECT | problems(404))
async def begin_oidc_sign_in(
    request: Request, settings: ServiceSettings, return_to: ReturnTo = "/"
) -> Response:
    """Send the browser to the OpenID Connect provider. 404 where none is configured."""
    provider = _provider(request)
    attempt = Attempt.begin(return_to)
    try:
        url = await provider.authorization_url(attempt, _redirect_uri(request))
    except SignInFailed as error:
        return _sign_in_page(settings.root_path, error)
    response = RedirectResponse(url, 303)
    cookie.SIGN_IN.save(request, response, attempt.serialize(), ATTEMPT_SECONDS)
    return response


@router.get(
    "/callback", status_code=303, response_class=Response, responses=REDIRECT | problems(404)
)
async def end_oidc_sign_in(
    request: Request,
    settings: ServiceSettings,
    state: _Text = "",
    code: _Text = "",
    error: _Text = "",
) -> Response:
    """Begin a session of the person whom the provider has authenticated, and go to the dashboard.

    Project and scopes are those of the person's groups (`DISTILL_OIDC_GROUPS`), until the session
    ends. A failure leads to `/sign-in?error=CODE`, with one of the codes sign_in_denied,
    sign_in_expired, sign_in_invalid, sign_in_unavailable, sign_in_no_project and rate_limited.
    Failures are counted like wrong API keys.
    """
    provider = _provider(request)
    attempt = Attempt.parse(cookie.SIGN_IN.read(request) or "")
    try:
        with request.app.state.limits.checking_key(request, audit_entries.client_address(request)):
            if attempt is None or not attempt.has_state(state):
                raise SignInFailed(
                    "The sign-in was not begun in this browser, or took too long.",
                    code="sign_in_expired",
                )
            if error or not code:
                raise SignInFailed("The provider has refused the sign-in.", code="sign_in_denied")
            person = await provider.person(attempt, _redirect_uri(request), code)
            lifetime = session_lifetime(settings)
            token = await run_in_threadpool(_begin_session, request, person, lifetime)
    except (SignInFailed, RateLimited) as failure:
        response = _sign_in_page(settings.root_path, failure)
    else:
        response = RedirectResponse(settings.root_path + attempt.return_to, 303)
        cookie.SESSION.save(request, response, token, lifetime.idle_seconds)
    cookie.SIGN_IN.save(request, response, "", 0)
    return response


def _begin_session(request: Request, person: Person, lifetime: Lifetime) -> str:
    """Begin a session and return its token. Raises SignInFailed where there is no such project."""
    with write_session(request.app.state.engine) as session:
        is_project = or_(ProjectRow.name == person.project, ProjectRow.id == person.project)
        project_id = session.scalars(select(ProjectRow.id).where(is_project)).first()
        if project_id is None:
            raise SignInFailed(
                "The project of the person's groups does not exist.", code="sign_in_no_project"
            )
        row, token = sessions.create_for_subject(
            session, project_id, person.name, person.scopes, lifetime, person_id=person.subject
        )
        request.state.principal = session_principal(ValidSession(row, None))
        values = audit_entries.audit_values(request)
        target = f"{person.name} ({person.subject})"
        audit.record(session, **values, status=303, target=target)
        return token


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.oidc
    if provider is None:
        raise NotFound("No OpenID Connect provider is configured here.")
    return provider


def _redirect_uri(request: Request) -> str:
    """Return the address of the way back, as the browser sees this service."""
    origin = f"{request.scope['scheme']}://{request.headers['host']}"
    return f"{origin}{request.app.state.settings.root_path}/v1/session/oidc/callback"


def _sign_in_page(root_path: str, error: DistillError) -> RedirectResponse:
    return RedirectResponse(f"{root_path}/sign-in?error={error.code}", 303)
