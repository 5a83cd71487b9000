"""Sessions of the dashboard, listed and ended: a person's own, and for admins the project's."""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Row
from sqlalchemy.orm import Session

from api.dependencies import After, Caller, Database, Limit, Work
from api.http.authenticated_route import AuthenticatedRoute
from api.http.authentication import Principal
from api.openapi.responses import problems
from api.representation.pagination import page_of
from api.representation.schemas import Page
from api.representation.sessions import ListedSessionResponse
from core.store.access import sessions
from core.store.database.engine import read_session

router = APIRouter(prefix="/v1/sessions", tags=["session"], route_class=AuthenticatedRoute)


@router.get("")
def list_sessions(
    caller: Caller, engine: Database, limit: Limit = 50, after: After = None
) -> Page[ListedSessionResponse]:
    """List the sessions that have not ended, newest first.

    With the scope `admin` all of the project; else those of the same API key, or of the same person
    who signed in through OIDC.
    """
    with read_session(engine) as session:
        rows, next_cursor = sessions.list_sessions(
            session, caller.project_id, owner=_owner(caller), after=after, limit=limit
        )
    return page_of([_to_response(row, caller) for row in rows], next_cursor)


@router.delete("/{session_id}", response_model=ListedSessionResponse, responses=problems(404))
def end_session(session_id: str, caller: Caller, work: Work) -> Response:
    """End a session that the list has: its cookie is rejected from now on."""

    def end(session: Session) -> tuple[int, ListedSessionResponse]:
        row = sessions.get(session, caller.project_id, session_id, owner=_owner(caller))
        sessions.end(session, row.id)
        return 200, _to_response(row, caller)

    return work.commit(end)


def _owner(caller: Principal) -> str | None:
    """Return whose sessions the caller sees; None for everybody's."""
    return None if "admin" in caller.scopes else caller.key_id


def _to_response(row: Row[Any], caller: Principal) -> ListedSessionResponse:
    columns = row._asdict()
    return ListedSessionResponse(
        **{name: columns[name] for name in ListedSessionResponse.model_fields if name in columns}
        | {"scopes": row.key_scopes if row.key_id is not None else row.scopes},
        current=row.id == caller.session_id,
    )
