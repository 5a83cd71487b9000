"""Failure counters by kind, soft deletion, registered workers, and an audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.store.database.schema import refuse_downgrade

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
LIVE = sa.text("deleted_at IS NULL")
DELETED = sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    _add_failure_counters()
    _add_deletion()
    _index_object_keys()
    _add_upload_times()
    _free_names_of_deleted_rows()
    _order_labels()
    _create_workers()
    _create_audit()


def downgrade() -> None:
    refuse_downgrade(revision)


def _add_failure_counters() -> None:
    for name, default in (("timeouts", "0"), ("memory_failures", "0"), ("protocol", "1")):
        op.add_column(
            "jobs", sa.Column(name, sa.BigInteger, nullable=False, server_default=default)
        )


def _add_deletion() -> None:
    for table in ("jobs", "models", "datasets"):
        op.add_column(table, sa.Column("deleted_at", sa.BigInteger, nullable=True))
    # A job that has ended outlives its data set and its teacher.
    with op.batch_alter_table("jobs") as batch:
        for column in ("dataset_id", "teacher_id"):
            batch.drop_constraint(f"fk_jobs_{column}", type_="foreignkey")
    op.create_index(
        "ix_jobs_deleted_at",
        "jobs",
        ["deleted_at"],
        sqlite_where=DELETED,
        postgresql_where=DELETED,
    )


def _index_object_keys() -> None:
    """For the collector's question whether any row still names an object."""
    for table in ("artifacts", "models", "datasets"):
        op.create_index(f"ix_{table}_object_key", table, ["object_key"])


def _add_upload_times() -> None:
    for table in ("models", "datasets"):
        op.add_column(table, sa.Column("upload_seen_at", sa.BigInteger, nullable=True))


def _free_names_of_deleted_rows() -> None:
    for table in ("models", "datasets"):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(f"uq_{table}_project_id_name", type_="unique")
        op.create_index(
            f"ix_{table}_project_id_name",
            table,
            ["project_id", "name"],
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        )


def _order_labels() -> None:
    op.add_column("labels", sa.Column("created_at", sa.BigInteger, nullable=True))
    op.execute(
        "UPDATE labels SET created_at = "
        "(SELECT jobs.created_at FROM jobs WHERE jobs.id = labels.job_id)"
    )
    with op.batch_alter_table("labels") as batch:
        batch.alter_column("created_at", nullable=False)
    columns = ["project_id", "key", "value", "created_at", "job_id"]
    op.create_index("ix_labels_project_id_key_value_created_at_job_id", "labels", columns)


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("protocol", sa.BigInteger, nullable=False),
        sa.Column("slots", sa.BigInteger, nullable=False),
        sa.Column("draining", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("lease_expires_at", sa.BigInteger, nullable=False),
        sa.Column("trouble", sa.String, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("project_id", sa.String(64), nullable=True),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("action", sa.String(200), nullable=False),
        sa.Column("target", sa.String(200), nullable=True),
        sa.Column("status", sa.BigInteger, nullable=False),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_project_id_at_id", "audit", ["project_id", "at", "id"])
