"""API keys. A secret is shown once; the database stores only its SHA-256.

A fast hash without salt suffices, because a secret has 256 random bits.
"""

import hashlib
import secrets
from collections.abc import Collection
from typing import Literal, get_args

from sqlalchemy import ColumnElement, Engine, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound, Unauthenticated
from core.store.database.clock import database_now
from core.store.database.engine import read_session, write_session
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import ApiKeyRow

Scope = Literal["read", "submit", "admin", "operator"]
"""In its project a key reads, submits, or manages keys (admin). An operator creates projects."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
_LAST_USED_INTERVAL_MS = 60_000
"""``last_used_at`` is updated at most this often."""
IS_VALID = and_(
    ApiKeyRow.revoked_at.is_(None),
    or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > database_now()),
)
"""A condition: the key is neither revoked nor expired."""
_VALID = select(ApiKeyRow, database_now()).where(ApiKeyRow.sha256 == bindparam("sha256"), IS_VALID)
"""Built once: every request starts with it, and building it takes as long as executing it."""


def create(
    session: Session,
    project_id: str,
    name: str,
    scopes: Collection[str],
    expires_at: int | ColumnElement[int] | None = None,
    *,
    secret: str | None = None,
) -> tuple[ApiKeyRow, str]:
    """Create a key; return it and its secret, which cannot be read again later.

    ``expires_at``: in milliseconds since the epoch, by the database's clock.
    Raises Invalid for unknown scopes, or none.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Invalid.field(
            "scopes",
            message=f"A key has one or more of the scopes {', '.join(SCOPES)}; "
            f"these are unknown: {unknown}.",
        )
    secret = secret or "dk_" + secrets.token_urlsafe(32)
    key = ApiKeyRow(
        id=new_id("key"),
        project_id=project_id,
        name=name,
        scopes=[scope for scope in SCOPES if scope in scopes],
        sha256=hash_secret(secret),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return key, secret


def ensure(
    engine: Engine, project_id: str, name: str, scopes: Collection[str], secret: str
) -> ApiKeyRow:
    """Create the key with this secret, which the operator chose; if it exists, set its scopes."""
    with write_session(engine) as session:
        key = session.scalars(
            select(ApiKeyRow).where(ApiKeyRow.sha256 == hash_secret(secret))
        ).one_or_none()
        if key is None:
            return create(session, project_id, name, scopes, secret=secret)[0]
        key.scopes = [scope for scope in SCOPES if scope in scopes]
        return key


def any_exist(session: Session) -> bool:
    """Return whether there is any key."""
    return session.scalars(select(ApiKeyRow.id).limit(1)).first() is not None


def authenticate(engine: Engine, secret: str) -> ApiKeyRow:
    """Return the valid key with this secret.

    Its use is recorded in a transaction of its own, at most once a minute. Raises Unauthenticated
    with the same message for a secret that is unknown, expired or revoked.
    """
    with read_session(engine) as session:
        match = session.execute(_VALID, {"sha256": hash_secret(secret)}).one_or_none()
    if match is None:
        raise Unauthenticated("This API key is unknown, expired or revoked.")
    key, now = match
    if key.last_used_at is None or now - key.last_used_at >= _LAST_USED_INTERVAL_MS:
        with write_session(engine) as session:
            session.execute(
                update(ApiKeyRow).where(ApiKeyRow.id == key.id).values(last_used_at=database_now())
            )
    return key


def get(session: Session, project_id: str, key_id: str) -> ApiKeyRow:
    """Return the project's key. Raises NotFound, also for a key of another project."""
    statement = select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.project_id == project_id)
    key = session.scalars(statement).one_or_none() if is_id(key_id) else None
    if key is None:
        raise NotFound(f"There is no key {key_id[:64]!r} in this project.")
    return key


def list_keys(
    session: Session, project_id: str, *, after: str | None = None, limit: int = 50
) -> tuple[list[ApiKeyRow], str | None]:
    """Return one page, newest first, and the next cursor or None; includes keys no longer valid."""
    statement = select(ApiKeyRow).where(ApiKeyRow.project_id == project_id)
    return page(session, statement, ApiKeyRow.created_at, ApiKeyRow.id, after=after, limit=limit)


def valid(session: Session, key_ids: Collection[str]) -> set[str]:
    """Return the ids of those keys that are neither revoked nor expired."""
    return set(session.scalars(select(ApiKeyRow.id).where(ApiKeyRow.id.in_(key_ids), IS_VALID)))


def revoke(session: Session, project_id: str, key_id: str) -> ApiKeyRow:
    """Make the key invalid from the commit on; revoking twice changes nothing. Raises NotFound."""
    key = get(session, project_id, key_id)
    if key.revoked_at is None:
        key.revoked_at = database_now()
        session.flush()
    return key


def hash_secret(secret: str) -> str:
    """Return the SHA-256, in hexadecimal digits, under which a secret is stored."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
