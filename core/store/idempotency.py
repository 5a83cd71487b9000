"""The same POST sent twice is carried out once: its answer is kept under the Idempotency-Key.

Two ways to use it. With ``begin``, the work and ``finish`` in ONE transaction, a copy sent meanwhile waits for the
first, then gets its answer, and nothing is left behind by a crash. Where the work is long (uploads), ``begin`` and
``finish`` are transactions of their own: a copy sent meanwhile is told so, and ``abandon`` clears a failed try.
"""

from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid
from core.store.database.clock import database_now
from core.store.database.tables import IdempotencyRow
from core.store.database.upsert import insert

STALE_MS = 15 * 60_000
"""A request that has run so long without an end died with its process: its key may be used again."""
RETENTION_MS = 24 * 3600_000


@dataclass(frozen=True)
class SavedResponse:
    """What the first request was answered."""

    status: int
    body: str


def reserve(session: Session, key_id: str, key: str, fingerprint: str) -> SavedResponse | None:
    """None: this request is the first, carry it out and ``finish``. Else the answer that the first one got.

    Raises Invalid (``idempotency_key_reused``) for another request under this key, and Conflict
    (``idempotency_in_progress``) while the first one runs.
    """
    mine = (IdempotencyRow.key_id == key_id, IdempotencyRow.key == key)
    too_old = IdempotencyRow.created_at < database_now() - RETENTION_MS
    dead = (IdempotencyRow.status == "running") & (
        IdempotencyRow.created_at < database_now() - STALE_MS
    )
    session.execute(
        delete(IdempotencyRow)
        .where(*mine, too_old | dead)
        .execution_options(synchronize_session=False)
    )
    values = {
        "key_id": key_id,
        "key": key,
        "fingerprint": fingerprint,
        "status": "running",
        "created_at": database_now(),
    }
    statement = (
        insert(session, IdempotencyRow)
        .values(values)
        .on_conflict_do_nothing()
        .returning(IdempotencyRow.key)
    )
    if session.execute(statement).one_or_none() is not None:
        return None
    found = session.scalars(
        select(IdempotencyRow).where(*mine).execution_options(populate_existing=True)
    ).one_or_none()
    if found is not None and found.fingerprint != fingerprint:
        raise Invalid(
            "This Idempotency-Key was used for another request; take a new key for a new request.",
            code="idempotency_key_reused",
        )
    if (
        found is None
        or found.status == "running"
        or found.response_status is None
        or found.response_body is None
    ):
        raise Conflict(
            "The first request with this Idempotency-Key is still being carried out; try again in a moment.",
            code="idempotency_in_progress",
        )
    return SavedResponse(found.response_status, found.response_body)


def save_response(session: Session, key_id: str, key: str, status: int, body: str) -> None:
    """Keep the answer for a day, for copies of the request."""
    session.execute(
        update(IdempotencyRow)
        .where(IdempotencyRow.key_id == key_id, IdempotencyRow.key == key)
        .values(status="done", response_status=status, response_body=body)
        .execution_options(synchronize_session=False)
    )


def abandon(session: Session, key_id: str, key: str) -> None:
    """The request failed before it did anything: the same key may try again."""
    unfinished = (
        IdempotencyRow.key_id == key_id,
        IdempotencyRow.key == key,
        IdempotencyRow.status == "running",
    )
    session.execute(
        delete(IdempotencyRow).where(*unfinished).execution_options(synchronize_session=False)
    )


def delete_expired(session: Session) -> None:
    """Remove answers older than a day."""
    old = IdempotencyRow.created_at < database_now() - RETENTION_MS
    session.execute(delete(IdempotencyRow).where(old).execution_options(synchronize_session=False))
