"""Sessions of the dashboard: begun with an API key, a one-time token of one, or through OIDC.

The browser has a token in a cookie; the database stores only its SHA-256. A session of a key has
the key's project and scopes, is prolonged by its use, and ends at once when the key is revoked or
expires. One through OIDC has the project and the scopes that its subject's groups gave it at
sign-in, and is not prolonged.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, bindparam, delete, or_, select, update
from sqlalchemy.orm import Session, aliased

from core.errors import NotFound, Unauthenticated
from core.store.access import keys
from core.store.database.clock import after, database_now
from core.store.database.engine import read_session, write_session
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import ApiKeyRow, SessionRow, SignInTokenRow

SIGN_IN_TOKEN_SECONDS = 600
_LAST_USED_INTERVAL_MS = 60_000
"""A session is prolonged at most this often."""
_IS_VALID = (
    SessionRow.expires_at > database_now(),
    or_(SessionRow.key_id.is_(None), keys.IS_VALID),
)
_VALID = (
    select(SessionRow, ApiKeyRow, database_now())
    .outerjoin(ApiKeyRow, ApiKeyRow.id == SessionRow.key_id)
    .where(SessionRow.sha256 == bindparam("sha256"), *_IS_VALID)
)
"""Built once, like that of the keys: every request of the dashboard starts with it."""
_COLUMNS: tuple[Any, ...] = (
    SessionRow.id,
    SessionRow.key_id,
    SessionRow.subject,
    SessionRow.scopes,
    SessionRow.created_at,
    SessionRow.expires_at,
    SessionRow.last_used_at,
    ApiKeyRow.name.label("key_name"),
    ApiKeyRow.scopes.label("key_scopes"),
)
_SUMMARY = select(*_COLUMNS).outerjoin(ApiKeyRow, ApiKeyRow.id == SessionRow.key_id)


@dataclass(frozen=True)
class Lifetime:
    """How long a session lasts after its last use, and at most after its begin, in seconds."""

    idle_seconds: float
    max_seconds: float

    def expires_at(self, created_at: int, now: int) -> int:
        """Return the time at which a session that is used ``now`` ends; all in milliseconds."""
        return min(
            now + round(self.idle_seconds * 1000), created_at + round(self.max_seconds * 1000)
        )


@dataclass(frozen=True)
class ValidSession:
    """A session that has not ended, with its key, if it has one."""

    row: SessionRow
    key: ApiKeyRow | None

    @property
    def scopes(self) -> list[str]:
        """Those that the key has now."""
        return self.key.scopes if self.key is not None else self.row.scopes or []


def create(session: Session, key: ApiKeyRow, lifetime: Lifetime) -> tuple[SessionRow, str]:
    """Begin a session of a valid key; return it and its token, which cannot be read again later."""
    return _add(session, lifetime, project_id=key.project_id, key_id=key.id)


def create_for_subject(
    session: Session,
    project_id: str,
    subject: str,
    scopes: Collection[str],
    lifetime: Lifetime,
    *,
    person_id: str,
) -> tuple[SessionRow, str]:
    """Begin a session of a person whom an OIDC provider has authenticated.

    ``subject``: the person's name, for people to read. ``person_id``: unique at the provider.
    """
    return _add(
        session,
        lifetime,
        project_id=project_id,
        subject=subject[:200],
        person_id=person_id[:255],
        scopes=[scope for scope in keys.SCOPES if scope in scopes],
    )


def authenticate(engine: Engine, token: str, lifetime: Lifetime) -> ValidSession:
    """Return the valid session with this token, and prolong it, at most once a minute.

    Raises Unauthenticated with the same message for a session that is unknown, has expired, or
    whose key is no longer valid.
    """
    with read_session(engine) as session:
        match = session.execute(_VALID, {"sha256": keys.hash_secret(token)}).one_or_none()
    if match is None:
        raise Unauthenticated("This session has ended; sign in again.")
    row, key, now = match
    if now - row.last_used_at >= _LAST_USED_INTERVAL_MS:
        values = {"last_used_at": now}
        if key is not None:
            values["expires_at"] = lifetime.expires_at(row.created_at, now)
        with write_session(engine) as session:
            session.execute(update(SessionRow).where(SessionRow.id == row.id).values(values))
    return ValidSession(row, key)


def valid(session: Session, session_ids: Collection[str]) -> set[str]:
    """Return those of the sessions that have not ended."""
    statement = (
        select(SessionRow.id)
        .outerjoin(ApiKeyRow, ApiKeyRow.id == SessionRow.key_id)
        .where(SessionRow.id.in_(session_ids), *_IS_VALID)
    )
    return set(session.scalars(statement))


def list_sessions(
    session: Session,
    project_id: str,
    *,
    owner: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[Row[Any]], str | None]:
    """Return one page of the sessions that have not ended, newest first, and the next cursor.

    ``owner``: of an API key, only those that were begun with it; of a session through OIDC, those
    of the same person. Rows have the columns of ``SessionRow``, but for the token's hash, and
    ``key_name`` and ``key_scopes``. Raises Invalid for a bad cursor.
    """
    statement = _SUMMARY.where(SessionRow.project_id == project_id, *_IS_VALID, *_is_of(owner))
    return page(session, statement, SessionRow.created_at, SessionRow.id, after=after, limit=limit)


def get(
    session: Session, project_id: str, session_id: str, *, owner: str | None = None
) -> Row[Any]:
    """Return a session as ``list_sessions`` does. Raises NotFound where that would not list it."""
    is_listed = (SessionRow.project_id == project_id, *_IS_VALID, *_is_of(owner))
    statement = _SUMMARY.where(SessionRow.id == session_id, *is_listed)
    row = session.execute(statement).one_or_none() if is_id(session_id) else None
    if row is None:
        raise NotFound(f"There is no session {session_id[:64]!r} in this project.")
    return row


def _is_of(owner: str | None) -> list[ColumnElement[bool]]:
    if owner is None:
        return []
    own = aliased(SessionRow)
    same_person = select(own.person_id).where(own.id == owner).scalar_subquery()
    return [or_(SessionRow.key_id == owner, SessionRow.person_id == same_person)]


def end(session: Session, session_id: str) -> None:
    """End a session, from the commit on; ending it twice changes nothing."""
    session.execute(delete(SessionRow).where(SessionRow.id == session_id))


def create_sign_in_token(session: Session, key_id: str) -> tuple[SignInTokenRow, str]:
    """Create a token that begins one session of the key within ten minutes."""
    token = "dkt_" + secrets.token_urlsafe(32)
    row = SignInTokenRow(
        sha256=keys.hash_secret(token), key_id=key_id, expires_at=after(SIGN_IN_TOKEN_SECONDS)
    )
    session.add(row)
    session.flush()
    return row, token


def redeem_sign_in_token(session: Session, token: str) -> ApiKeyRow:
    """Use the token up, and return its key. Of two callers at once only one gets the key.

    Raises Unauthenticated with the same message for a token that is unknown, used or expired, or
    whose key is no longer valid.
    """
    statement = (
        delete(SignInTokenRow)
        .where(
            SignInTokenRow.sha256 == keys.hash_secret(token),
            SignInTokenRow.expires_at > database_now(),
        )
        .returning(SignInTokenRow.key_id)
    )
    key_id = session.execute(statement).scalar_one_or_none()
    key = session.scalars(
        select(ApiKeyRow).where(ApiKeyRow.id == key_id, keys.IS_VALID)
    ).one_or_none()
    if key is None:
        raise Unauthenticated(
            "This sign-in address was used before, or has expired; "
            "`distill dashboard` makes another."
        )
    return key


def delete_expired(session: Session) -> None:
    """Delete the rows of sessions and tokens that have expired."""
    for table in (SessionRow, SignInTokenRow):
        session.execute(delete(table).where(table.expires_at < database_now()))


def _add(session: Session, lifetime: Lifetime, **columns: object) -> tuple[SessionRow, str]:
    token = "dks_" + secrets.token_urlsafe(32)
    now = session.scalars(select(database_now())).one()
    row = SessionRow(
        id=new_id("ses"),
        sha256=keys.hash_secret(token),
        created_at=now,
        last_used_at=now,
        expires_at=lifetime.expires_at(now, now),
        **columns,
    )
    session.add(row)
    session.flush()
    return row, token
