"""Sweeps, and the position of a job in its sweep."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.store.database.schema import refuse_downgrade

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=True),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sweeps"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_sweeps_project_id"),
    )
    op.create_index(
        "ix_sweeps_project_id_created_at_id", "sweeps", ["project_id", "created_at", "id"]
    )
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("sweep_id", sa.String(64), nullable=True))
        jobs.add_column(sa.Column("sweep_index", sa.BigInteger(), nullable=True))
        jobs.add_column(sa.Column("sweep_line", sa.String(500), nullable=True))
        jobs.create_foreign_key("fk_jobs_sweep_id", "sweeps", ["sweep_id"], ["id"])
        jobs.create_index("ix_jobs_sweep_id_sweep_index", ["sweep_id", "sweep_index"])


def downgrade() -> None:
    refuse_downgrade(revision)
