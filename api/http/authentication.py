"""Who calls: the API key of a request, and the project and scopes that it gives."""

from dataclasses import dataclass

from fastapi import Request
from sqlalchemy import Engine

from core.errors import Unauthenticated
from core.store import keys


@dataclass(frozen=True)
class Principal:
    """Who calls: a key, and the one project that it opens."""

    key_id: str
    project_id: str
    scopes: frozenset[str]


def bearer_token(request: Request) -> str:
    """The key in ``Authorization: Bearer <key>``; nothing else, such as a cookie, says who calls. Raises Unauthenticated."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("Send an API key: Authorization: Bearer <key>.")
    return secret.strip()


def authenticate(engine: Engine, secret: str) -> Principal:
    """The principal that a key belongs to. Raises Unauthenticated."""
    key = keys.authenticate(engine, secret)
    return Principal(key.id, key.project_id, frozenset(key.scopes))
