"""What attempts at jobs write: themselves, logs, events, metrics and artifacts."""

from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.jobspec.status import Outcome
from core.store.database.clock import database_now
from core.store.database.tables.base import Base, Id


class AttemptRow(Base):
    """One attempt at a job: who made it, and how it ended."""

    __tablename__ = "attempts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str | None] = mapped_column(String(200))
    """None for most attempts before schema 0007."""
    started_at: Mapped[int] = mapped_column(default=database_now())
    ended_at: Mapped[int | None]
    outcome: Mapped[Outcome | None] = mapped_column(String(16))
    """None while it goes on."""
    failure: Mapped[dict[str, Any] | None]
    """What went wrong in it, whether or not the job was tried again."""


class LogRow(Base):
    """The log of one attempt. Its lines are chunks, and one object some time after its end."""

    __tablename__ = "logs"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lines: Mapped[int]
    """Number of lines that were written, and so the number of the last one."""
    bytes: Mapped[int]
    """Number of bytes that were written, whether or not they are still there."""
    object_key: Mapped[str | None] = mapped_column(String(500), index=True)
    size: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))


class LogChunkRow(Base):
    """Consecutive lines of a log that is not an object yet."""

    __tablename__ = "log_chunks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Number of its first line."""
    last_seq: Mapped[int]
    omitted_lines: Mapped[int]
    """Number of lines that were left out right before its first."""
    omitted_bytes: Mapped[int]
    data: Mapped[str]
    """Lines as ``core.store.logs`` encodes them."""


class EventRow(Base):
    __tablename__ = "events"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(32))
    at: Mapped[int] = mapped_column(default=database_now())
    attempt: Mapped[int]
    data: Mapped[dict[str, Any]]


class MetricRow(Base):
    __tablename__ = "metrics"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[float]
    attempt: Mapped[int]


class ArtifactRow(Base):
    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(16))
    """A ``core.job_folder.OutputKind``: checkpoint, weights, report, figure or export."""
    object_key: Mapped[str] = mapped_column(String(500), index=True)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(100))
    step: Mapped[int | None]
    attempt: Mapped[int]
    created_at: Mapped[int] = mapped_column(default=database_now())
