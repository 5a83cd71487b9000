"""A POST that is sent twice is carried out once: its response is saved under the Idempotency-Key.

``reserve``, the request's own work and ``save_response`` share ONE transaction. A copy of the
request that is sent meanwhile waits for that transaction and then gets the saved response; a
request that fails or crashes leaves nothing behind, and its key can be used again.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from core.store.database.clock import database_now
from core.store.database.tables import IdempotencyRow
from core.store.database.upsert import insert

STALE_MS = 15 * 60_000
"""A key whose request has not finished for so long may be reserved again."""
RETENTION_MS = 24 * 3600_000
"""How long a response is kept."""


@dataclass(frozen=True)
class SavedResponse:
    """The response to the first request under a key."""

    status: int
    body: str


def reserve(session: Session, key_id: str, key: str, fingerprint: str) -> SavedResponse | None:
    """Reserve a key for a request; return the saved response if the request was answered before.

    None: this request is the first; carry it out, then call ``save_response``.
    Raises Invalid (code ``idempotency_key_reused``) for another request under the same key, and
    Conflict (``idempotency_in_progress``) while the first request is being carried out.
    """
    _delete_expired_key(session, key_id, key)
    if _insert_key(session, key_id, key, fingerprint):
        return None
    statement = select(IdempotencyRow).where(*_is_key(key_id, key))
    row = session.scalars(statement.execution_options(populate_existing=True)).one_or_none()
    if row is not None and row.fingerprint != fingerprint:
        raise Invalid(
            "This Idempotency-Key was used for another request; use a new key for a new request.",
            code="idempotency_key_reused",
        )
    response = None if row is None else _saved_response(row)
    if response is None:
        raise Conflict(
            "The first request with this Idempotency-Key is still being carried out; "
            "try again in a moment.",
            code="idempotency_in_progress",
        )
    return response


def save_response(session: Session, key_id: str, key: str, status: int, body: str) -> None:
    """Save the response for a day, for copies of the request."""
    session.execute(
        update(IdempotencyRow)
        .where(*_is_key(key_id, key))
        .values(status="done", response_status=status, response_body=body)
        .execution_options(synchronize_session=False)
    )


def delete_expired(session: Session) -> None:
    """Delete responses that are older than a day."""
    is_expired = IdempotencyRow.created_at < database_now() - RETENTION_MS
    session.execute(
        delete(IdempotencyRow).where(is_expired).execution_options(synchronize_session=False)
    )


def _delete_expired_key(session: Session, key_id: str, key: str) -> None:
    is_expired = IdempotencyRow.created_at < database_now() - RETENTION_MS
    is_stale = (IdempotencyRow.status == "running") & (
        IdempotencyRow.created_at < database_now() - STALE_MS
    )
    session.execute(
        delete(IdempotencyRow)
        .where(*_is_key(key_id, key), is_expired | is_stale)
        .execution_options(synchronize_session=False)
    )


def _insert_key(session: Session, key_id: str, key: str, fingerprint: str) -> bool:
    """Return whether the key was free. Waits while another transaction holds the same key."""
    statement = (
        insert(session, IdempotencyRow)
        .values(
            key_id=key_id,
            key=key,
            fingerprint=fingerprint,
            status="running",
            created_at=database_now(),
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyRow.key)
    )
    return session.execute(statement).one_or_none() is not None


def _saved_response(row: IdempotencyRow) -> SavedResponse | None:
    if row.status == "running" or row.response_status is None or row.response_body is None:
        return None
    return SavedResponse(row.response_status, row.response_body)


def _is_key(key_id: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return (IdempotencyRow.key_id == key_id, IdempotencyRow.key == key)
