"""Who may do what, and who did: projects, keys, sessions, answered requests, audit log."""

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.store.database.clock import database_now
from core.store.database.tables.base import Base, Id

DEFAULT_PROJECT = "prj_default"


class ProjectRow(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[int] = mapped_column(default=database_now())


class ApiKeyRow(Base):
    """An API key. Of its secret only the SHA-256 is stored."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(200))
    scopes: Mapped[list[str]]
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[int] = mapped_column(default=database_now())
    expires_at: Mapped[int | None]
    revoked_at: Mapped[int | None]
    last_used_at: Mapped[int | None]


class SessionRow(Base):
    """A signed-in browser. Of the token in its cookie only the SHA-256 is stored."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    """The API key that it was begun with, and ends with; None for one through OIDC."""
    subject: Mapped[str | None] = mapped_column(String(200))
    """Who signed in through OIDC, for people to read; not unique at every provider."""
    person_id: Mapped[str | None] = mapped_column(String(255))
    """The provider's own id of that person: the claim ``sub``."""
    scopes: Mapped[list[str] | None]
    """None for a session that has those of its key."""
    created_at: Mapped[int] = mapped_column(default=database_now())
    expires_at: Mapped[int] = mapped_column(index=True)
    last_used_at: Mapped[int] = mapped_column(default=database_now())


class SignInTokenRow(Base):
    """A one-time token that begins a session of its API key."""

    __tablename__ = "sign_in_tokens"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    created_at: Mapped[int] = mapped_column(default=database_now())
    expires_at: Mapped[int] = mapped_column(index=True)


class IdempotencyRow(Base):
    """The response to a request with an Idempotency-Key."""

    __tablename__ = "idempotency"

    key_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Hash of the request's method, path, query and body."""
    status: Mapped[str] = mapped_column(String(16))
    """running or done."""
    response_status: Mapped[int | None]
    response_body: Mapped[str | None]
    created_at: Mapped[int] = mapped_column(default=database_now(), index=True)


class AuditRow(Base):
    """One request that changed something, or was refused (an entry of the audit log)."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "project_id", "at", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    at: Mapped[int] = mapped_column(default=database_now())
    project_id: Mapped[str | None] = mapped_column(Id)
    """None for a request that was refused before it was authenticated."""
    key_id: Mapped[str | None] = mapped_column(Id)
    action: Mapped[str] = mapped_column(String(200))
    """Method and route."""
    target: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[int]
    code: Mapped[str | None] = mapped_column(String(64))
    """Code of the problem document."""
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    times: Mapped[int] = mapped_column(default=1)
    """How many equal refusals there were within an hour.

    Of equal refusals only the 1st, 2nd, 4th, 8th, … make an entry.
    """
