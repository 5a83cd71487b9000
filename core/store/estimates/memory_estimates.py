"""Memory estimates: the API asks, a worker's estimator answers, and both outlive either of them."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from core.store.database.clock import after, database_now
from core.store.database.engine import write_session
from core.store.database.tables import MemoryEstimateRow
from core.store.database.upsert import insert

MAX_PENDING = 100
"""Requests that wait for a worker; beyond that, no new one is stored."""
MAX_TRIES = 3
RETENTION_MS = 90 * 24 * 3600_000
"""How long an estimate is kept after its last use."""
TOUCH_MS = 24 * 3600_000
"""The time of the last use is that exact, so that most dry runs write nothing."""


def find(session: Session, keys: Collection[str]) -> dict[str, MemoryEstimateRow]:
    """Return those of the estimates that have been asked for, by key."""
    statement = select(MemoryEstimateRow).where(MemoryEstimateRow.key.in_(keys))
    return {row.key: row for row in session.scalars(statement)}


def enqueue(engine: Engine, requests: Mapping[str, dict[str, Any]]) -> None:
    """Store requests, by key, that no earlier dry run has stored, as far as there is room."""
    if not requests:
        return
    with write_session(engine) as session:
        is_pending = MemoryEstimateRow.status == "pending"
        pending = session.scalar(select(func.count()).where(is_pending)) or 0
        for key, request in list(requests.items())[: max(0, MAX_PENDING - pending)]:
            row = {"key": key, "request": request, "status": "pending"}
            statement = insert(session, MemoryEstimateRow).values(**row)
            session.execute(statement.on_conflict_do_nothing())


def touch(engine: Engine, rows: Collection[MemoryEstimateRow], now: int) -> None:
    """Record that these estimates are in use, where the last record of that is old."""
    keys = [row.key for row in rows if row.used_at < now - TOUCH_MS]
    if not keys:
        return
    with write_session(engine) as session:
        statement = update(MemoryEstimateRow).where(MemoryEstimateRow.key.in_(keys))
        session.execute(statement.values(used_at=database_now()))


def claim(engine: Engine, lease_seconds: float) -> MemoryEstimateRow | None:
    """Return the request that has waited longest, or None; no other worker gets it meanwhile.

    One that several workers could not answer becomes unavailable.
    """
    oldest = (
        select(MemoryEstimateRow.key)
        .where(
            MemoryEstimateRow.status == "pending", MemoryEstimateRow.not_before <= database_now()
        )
        .order_by(MemoryEstimateRow.not_before, MemoryEstimateRow.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    statement = (
        update(MemoryEstimateRow)
        .where(MemoryEstimateRow.key == oldest, MemoryEstimateRow.status == "pending")
        .values(tries=MemoryEstimateRow.tries + 1, not_before=after(lease_seconds))
        .returning(MemoryEstimateRow)
        .execution_options(synchronize_session=False)
    )
    with write_session(engine) as session:
        row = session.scalars(statement).one_or_none()
        if row is None or row.tries <= MAX_TRIES:
            return row
        row.status = "unavailable"
        row.problem = "No worker could work it out."
    return None


def has_pending(session: Session) -> bool:
    """Return whether any request waits for a worker."""
    statement = select(MemoryEstimateRow.key).where(
        MemoryEstimateRow.status == "pending", MemoryEstimateRow.not_before <= database_now()
    )
    return session.scalars(statement.limit(1)).first() is not None


def record(engine: Engine, key: str, size: int, parts: dict[str, int]) -> None:
    """Store an estimate, in bytes."""
    _conclude(engine, key, status="known", bytes=size, parts=parts)


def record_failure(engine: Engine, key: str, problem: str) -> None:
    """Store why there is no estimate."""
    _conclude(engine, key, status="unavailable", problem=problem[:500])


def _conclude(engine: Engine, key: str, **values: Any) -> None:
    with write_session(engine) as session:
        statement = update(MemoryEstimateRow).where(
            MemoryEstimateRow.key == key, MemoryEstimateRow.status == "pending"
        )
        session.execute(statement.values(**values))


def delete_unused(session: Session) -> None:
    """Delete estimates that no dry run has used for months."""
    is_unused = MemoryEstimateRow.used_at < database_now() - RETENTION_MS
    statement = delete(MemoryEstimateRow).where(is_unused)
    session.execute(statement.execution_options(synchronize_session=False))
