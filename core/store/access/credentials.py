"""Credentials of any kind, by id: API keys and sessions."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from core.store.access import keys, sessions


def valid(session: Session, credential_ids: Collection[str]) -> set[str]:
    """Return those that would be accepted now: neither revoked nor expired."""
    return keys.valid(session, credential_ids) | sessions.valid(session, credential_ids)
