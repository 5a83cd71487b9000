"""Registered workers."""

from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.store.database.clock import database_now
from core.store.database.tables.base import Base


class WorkerRow(Base):
    """A registered worker process; ``seen_at`` is the time of its last heartbeat."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[str] = mapped_column(String(64))
    protocol: Mapped[int]
    slots: Mapped[int]
    draining: Mapped[bool]
    """It finishes its jobs and claims no more."""
    started_at: Mapped[int] = mapped_column(default=database_now())
    seen_at: Mapped[int] = mapped_column(default=database_now())
    lease_expires_at: Mapped[int]
    """It counts as lost unless a heartbeat arrives before this time."""
    trouble: Mapped[str | None]
    """Why it claims nothing although it was not told to drain."""
    hardware: Mapped[dict[str, Any] | None]
    """A ``core.hardware.Hardware``; None where the worker does not report it."""
    lost_at: Mapped[int | None]
    """When a reconciler noticed that its lease had expired; None from its next heartbeat on."""
