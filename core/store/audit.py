"""The audit log: who changed what, and who was refused. Lines are only ever added here."""

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
    """One line: project_id, key_id, code, address and times as far as they are known. Texts are made printable, and cut."""
    shown = None if target is None else _printable(target)
    session.add(
        AuditRow(
            id=new_id("aud"),
            action=_printable(action),
            target=shown,
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
    """One page of the project's lines, the newest first, and the cursor of the next; None at the end.

    ``nobodys``: those too of requests that were refused before it was known whose they are. ``since`` in milliseconds.
    """
    whose = AuditRow.project_id == project_id
    statement = select(AuditRow).where(
        or_(whose, AuditRow.project_id.is_(None)) if include_unauthenticated else whose
    )
    if action is not None:
        statement = statement.where(AuditRow.action == action)
    if key_id is not None:
        statement = statement.where(AuditRow.key_id == key_id)
    if since is not None:
        statement = statement.where(AuditRow.at >= since)
    return page(session, statement, AuditRow.at, AuditRow.id, after=after, limit=limit)


def _printable(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)[:200]
