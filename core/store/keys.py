"""API keys. The secret is shown once; the database has its SHA-256, which is enough for 256 random bits."""

import hashlib
import secrets
from collections.abc import Collection
from typing import Literal, get_args

from sqlalchemy import ColumnElement, Engine, bindparam, or_, select, update
from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound, Unauthenticated
from core.store.database.clock import database_now
from core.store.database.engine import read_session, write_session
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import ApiKeyRow

Scope = Literal["read", "submit", "admin", "operator"]
"""Within its project a key reads, submits, or manages keys (admin); an operator makes further projects."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
_USE_NOTED_EVERY_MS = 60_000
_VALID = select(ApiKeyRow, database_now()).where(
    ApiKeyRow.sha256 == bindparam("sha256"),
    ApiKeyRow.revoked_at.is_(None),
    or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > database_now()),
)
"""Made once: every request begins with it, and making it takes as long as asking it."""


def create(
    session: Session,
    project_id: str,
    name: str,
    scopes: Collection[str],
    expires_at: int | ColumnElement[int] | None = None,
    *,
    secret: str | None = None,
) -> tuple[ApiKeyRow, str]:
    """A new key and its secret, which cannot be had again. Raises Invalid for scopes that there are not.

    ``expires_at`` is a time by the database's clock, in milliseconds since the epoch.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Invalid.field(
            "scopes",
            message=f"A key's scopes are some of {', '.join(SCOPES)}; these are not: {unknown}.",
        )
    secret = secret or "dk_" + secrets.token_urlsafe(32)
    key = ApiKeyRow(
        id=new_id("key"),
        project_id=project_id,
        name=name,
        scopes=[scope for scope in SCOPES if scope in scopes],
        sha256=_hash(secret),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return key, secret


def ensure(
    engine: Engine, project_id: str, name: str, scopes: Collection[str], secret: str
) -> ApiKeyRow:
    """The key with a secret that the operator chose, made where it is not there yet; it has these scopes from now on."""
    with write_session(engine) as session:
        key = session.scalars(
            select(ApiKeyRow).where(ApiKeyRow.sha256 == _hash(secret))
        ).one_or_none()
        if key is None:
            return create(session, project_id, name, scopes, secret=secret)[0]
        key.scopes = [scope for scope in SCOPES if scope in scopes]
        return key


def any_exist(session: Session) -> bool:
    """Whether there is any key."""
    return session.scalars(select(ApiKeyRow.id).limit(1)).first() is not None


def authenticate(engine: Engine, secret: str) -> ApiKeyRow:
    """The key that a secret belongs to. Notes its use, once a minute at most, in a transaction of its own.

    Raises Unauthenticated, in the same words, for a secret that is unknown, expired or revoked.
    """
    with read_session(engine) as session:
        found = session.execute(_VALID, {"sha256": _hash(secret)}).one_or_none()
    if found is None:
        raise Unauthenticated("This API key is unknown, expired or revoked.")
    key, now = found
    if key.last_used_at is None or now - key.last_used_at >= _USE_NOTED_EVERY_MS:
        with write_session(engine) as session:
            session.execute(
                update(ApiKeyRow).where(ApiKeyRow.id == key.id).values(last_used_at=database_now())
            )
    return key


def get(session: Session, project_id: str, key_id: str) -> ApiKeyRow:
    """Raises NotFound, also for another project's key."""
    statement = select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.project_id == project_id)
    key = session.scalars(statement).one_or_none() if is_id(key_id) else None
    if key is None:
        raise NotFound(f"There is no key {key_id[:64]!r} in this project.")
    return key


def list_keys(
    session: Session, project_id: str, *, after: str | None = None, limit: int = 50
) -> tuple[list[ApiKeyRow], str | None]:
    """One page, newest first, and the cursor of the next; None at the end. Revoked and expired ones, too."""
    statement = select(ApiKeyRow).where(ApiKeyRow.project_id == project_id)
    return page(session, statement, ApiKeyRow.created_at, ApiKeyRow.id, after=after, limit=limit)


def revoke(session: Session, project_id: str, key_id: str) -> ApiKeyRow:
    """From the commit on the secret is worth nothing. Revoking twice changes nothing. Raises NotFound."""
    key = get(session, project_id, key_id)
    if key.revoked_at is None:
        key.revoked_at = database_now()
        session.flush()
    return key


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
