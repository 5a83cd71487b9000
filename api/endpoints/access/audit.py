"""The audit log, for those who manage a project's API keys."""

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from api.dependencies import Admin, After, Database, Limit
from api.http.authenticated_route import AuthenticatedRoute
from api.representation import from_rows, schemas
from api.representation.pagination import page_of
from core.store.access import audit
from core.store.database.engine import read_session

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=AuthenticatedRoute)
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _parse_time(text: Any) -> Any:
    # Stricter than pydantic's own parsing, which takes "0" and "2026-01-31".
    if not isinstance(text, str) or not RFC3339.fullmatch(text):
        raise ValueError("a time such as 2026-01-31T12:00:00Z is needed")
    return datetime.fromisoformat(text.upper())


QueryTime = Annotated[datetime, BeforeValidator(_parse_time)]


@router.get("")
def list_audit(
    caller: Admin,
    engine: Database,
    action: Annotated[
        str | None, Query(max_length=200, description="Such as `POST /v1/jobs`.")
    ] = None,
    key: Annotated[str | None, Query(max_length=64, description="Id of an API key.")] = None,
    since: Annotated[
        QueryTime | None, Query(description="Only entries of this time and later.")
    ] = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[schemas.AuditEntryResponse]:
    """List changes and refused requests, newest first.

    Of many equal refusals within an hour only the 1st, 2nd, 4th, 8th … have an entry. Operators
    also see requests whose project is not known.
    """
    since_ms = None if since is None else round(since.timestamp() * 1000)
    with read_session(engine) as session:
        rows, next_cursor = audit.list_entries(
            session,
            caller.project_id,
            include_unauthenticated="operator" in caller.scopes,
            action=action,
            key_id=key,
            since=since_ms,
            after=after,
            limit=limit,
        )
    return page_of([from_rows.audit_entry(row) for row in rows], next_cursor)
