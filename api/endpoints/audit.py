"""The audit log, for those who manage a project's keys."""

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from api.dependencies import Admin, After, Database, Limit
from api.http.authenticated_route import AuthenticatedRoute
from api.representation import from_rows, schemas
from core.store import audit
from core.store.database.engine import read_session

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=AuthenticatedRoute)
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _moment(text: Any) -> Any:
    if not isinstance(text, str) or not RFC3339.fullmatch(text):
        raise ValueError("a time such as 2026-01-31T12:00:00Z is needed")
    return datetime.fromisoformat(text.upper())


Moment = Annotated[datetime, BeforeValidator(_moment)]


@router.get("")
def list_audit(
    caller: Admin,
    engine: Database,
    action: Annotated[
        str | None, Query(max_length=200, description="Such as `POST /v1/jobs`.")
    ] = None,
    key: Annotated[str | None, Query(max_length=64, description="Id of a key.")] = None,
    since: Annotated[Moment | None, Query(description="Lines of this time and later.")] = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[schemas.AuditLineResponse]:
    """Changes, and requests that were refused, the newest first. Of many alike refusals only the 1st, 2nd, 4th, 8th … of an
    hour have a line. Operators see those too whose project was never known.
    """
    since_ms = None if since is None else round(since.timestamp() * 1000)
    with read_session(engine) as session:
        rows, cursor = audit.list_entries(
            session,
            caller.project_id,
            include_unauthenticated="operator" in caller.scopes,
            action=action,
            key_id=key,
            since=since_ms,
            after=after,
            limit=limit,
        )
    return schemas.Page(
        data=[from_rows.audit_line(row) for row in rows],
        has_more=cursor is not None,
        next_cursor=cursor,
    )
