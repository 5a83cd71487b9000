"""What every table has: the class of its rows, types of columns, deletion and edits."""

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ColumnElement, Double, MetaData, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

LIVE = text("deleted_at IS NULL")
DELETED = text("deleted_at IS NOT NULL")
Id = String(64)
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        float: Double,
        dict[str, Any]: Json,
        list[str]: Json,
        list[float | None]: Json,
    }
    # Times that the database sets must be readable after the session is closed.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012


class Deletable:
    """Rows that are hidden when they are deleted, and removed by the collector some days later."""

    noun: ClassVar[str]
    """What messages call one of these rows."""
    deleted_at: Mapped[int | None] = mapped_column()

    @classmethod
    def live(cls) -> ColumnElement[bool]:
        """Return a condition: the row is not deleted."""
        return cls.deleted_at.is_(None)


class Editable:
    """Rows whose name, notes and metadata a caller can change. Their column ``labels`` is the
    metadata.
    """

    notes: Mapped[str | None] = mapped_column()
    """Markdown."""
    edits: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often a caller has changed name, notes or metadata."""
