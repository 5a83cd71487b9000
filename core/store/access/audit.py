"""The audit log: who changed what, and who was refused. Entries are only ever added here."""

import re
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core.store.database.ids import new_id
from core.store.database.pagination import page
from core.store.database.tables import AuditRow


def record(
    session: Session,
    *,
    action: str,
    status: int,
    request_id: str,
    target: str | None = None,
    **values: Any,
) -> None:
    """Add an entry; ``values`` are project_id, key_id, code, address and times where known.

    Texts are made printable and cut to 200 characters.
    """
    session.add(
        AuditRow(
            id=new_id("aud"),
            action=_printable(action),
            target=None if target is None else _printable(target),
            status=status,
            request_id=request_id,
            **values,
        )
    )
    session.flush()


def list_entries(
    session: Session,
    project_id: str,
    *,
    include_unauthenticated: bool = False,
    action: str | None = None,
    key_id: str | None = None,
    since: int | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[AuditRow], str | None]:
    """Return one page of the project's entries, newest first, and the next cursor or None.

    ``include_unauthenticated``: also entries of requests that were refused before they were
    authenticated, and so belong to no project. ``since``: in milliseconds since the epoch.
    """
    is_included = AuditRow.project_id == project_id
    if include_unauthenticated:
        is_included = or_(is_included, AuditRow.project_id.is_(None))
    statement = select(AuditRow).where(is_included)
    if action is not None:
        statement = statement.where(AuditRow.action == action)
    if key_id is not None:
        statement = statement.where(AuditRow.key_id == key_id)
    if since is not None:
        statement = statement.where(AuditRow.at >= since)
    return page(session, statement, AuditRow.at, AuditRow.id, after=after, limit=limit)


def _printable(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)[:200]
