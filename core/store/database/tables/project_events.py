"""What changes in a project, for streams of it."""

from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.store.database.clock import database_now
from core.store.database.tables.base import Base, Id

UNNUMBERED = text("seq IS NULL")
IS_SUPERSEDED = text("change IN ('progress', 'changed')")
"""Project events of which only the newest of an item is kept."""


class ProjectEventRow(Base):
    """One change of what a project sees (``core.store.project_events``)."""

    __tablename__ = "project_events"
    __table_args__ = (
        Index(None, "seq", unique=True),
        Index(None, "project_id", "seq"),
        Index(None, "id", sqlite_where=UNNUMBERED, postgresql_where=UNNUMBERED),
        Index(
            None,
            "item_type",
            "item_id",
            sqlite_where=IS_SUPERSEDED,
            postgresql_where=IS_SUPERSEDED,
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    seq: Mapped[int | None]
    """Its number in the order of commits, over all projects; None until it is assigned."""
    project_id: Mapped[str | None] = mapped_column(Id)
    """None for what every project sees. No foreign key: it would lock the project's row."""
    item_type: Mapped[str] = mapped_column(String(16))
    item_id: Mapped[str] = mapped_column(String(200))
    change: Mapped[str] = mapped_column(String(16))
    at: Mapped[int] = mapped_column(default=database_now())
    data: Mapped[dict[str, Any]]


class ProjectEventLogRow(Base):
    """The numbers of project events. There is one row; whoever assigns numbers locks it."""

    __tablename__ = "project_event_log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_seq: Mapped[int]
    """The greatest number that was ever assigned."""
    pruned_seq: Mapped[int]
    """Events up to this number may have been pruned."""
