"""What finished jobs cost, how much memory jobs need, and what workers run on."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("workers", sa.Column("hardware", JSON, nullable=True))
    _create_job_costs()
    _create_memory_estimates()


def _create_job_costs() -> None:
    op.create_table(
        "job_costs",
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("device_kind", sa.String(16), nullable=False),
        sa.Column("device_name", sa.String(200), nullable=False),
        sa.Column("architecture", sa.String(64), nullable=False),
        sa.Column("student", JSON, nullable=False),
        sa.Column("teacher", JSON, nullable=True),
        sa.Column("method", sa.String(64), nullable=True),
        sa.Column("precision", sa.String(8), nullable=False),
        sa.Column("compiled", sa.Boolean(), nullable=False),
        sa.Column("batch_size", sa.BigInteger(), nullable=False),
        sa.Column("image_side", sa.BigInteger(), nullable=False),
        sa.Column("settings_sha256", sa.String(64), nullable=False),
        sa.Column("training_passes", sa.BigInteger(), nullable=False),
        sa.Column("training_seconds", sa.Double(), nullable=False),
        sa.Column("evaluated_networks", sa.BigInteger(), nullable=False),
        sa.Column("measures", JSON, nullable=False),
        sa.Column("other_seconds", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_costs"),
    )
    op.create_index(
        "ix_job_costs_device_name_architecture_finished_at",
        "job_costs",
        ["device_name", "architecture", "finished_at"],
    )


def _create_memory_estimates() -> None:
    op.create_table(
        "memory_estimates",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("request", JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("parts", JSON, nullable=True),
        sa.Column("problem", sa.String(500), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_memory_estimates"),
    )
    op.create_index(
        "ix_memory_estimates_status_not_before", "memory_estimates", ["status", "not_before"]
    )
