"""Changes of a project, in order, for its event stream."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
AUTOINCREMENT = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _create_project_events()
    _create_log()
    op.add_column("workers", sa.Column("lost_at", sa.BigInteger, nullable=True))


def _create_project_events() -> None:
    op.create_table(
        "project_events",
        sa.Column("id", AUTOINCREMENT, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=True),
        sa.Column("project_id", sa.String(64), nullable=True),
        sa.Column("item_type", sa.String(16), nullable=False),
        sa.Column("item_id", sa.String(200), nullable=False),
        sa.Column("change", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project_events"),
    )
    op.create_index("ix_project_events_seq", "project_events", ["seq"], unique=True)
    op.create_index("ix_project_events_project_id_seq", "project_events", ["project_id", "seq"])
    for columns, condition in (
        (["id"], sa.text("seq IS NULL")),
        (["item_type", "item_id"], sa.text("change IN ('progress', 'changed')")),
    ):
        op.create_index(
            f"ix_project_events_{'_'.join(columns)}",
            "project_events",
            columns,
            sqlite_where=condition,
            postgresql_where=condition,
        )


def _create_log() -> None:
    log = op.create_table(
        "project_event_log",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("pruned_seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project_event_log"),
    )
    op.bulk_insert(log, [{"id": 1, "last_seq": 0, "pruned_seq": 0}])
