"""Attempts are rows, with their logs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
EARLIER_ATTEMPTS = """
INSERT INTO attempts (job_id, number, worker, started_at, ended_at, outcome)
SELECT
    started.job_id,
    started.attempt,
    CASE WHEN jobs.attempt = started.attempt THEN jobs.worker END,
    started.at,
    ended.at,
    CASE
        WHEN ended.data ->> 'to' IN ('succeeded', 'failed', 'paused', 'cancelled')
            THEN ended.data ->> 'to'
        WHEN ended.data ->> 'reason' LIKE 'Its worker was shut down%' THEN 'released'
        WHEN ended.data ->> 'reason' LIKE 'Its worker%in time.' THEN 'lost'
        WHEN ended.seq IS NOT NULL THEN 'failed'
    END
FROM events AS started
JOIN jobs ON jobs.id = started.job_id
LEFT JOIN events AS ended ON ended.job_id = started.job_id AND ended.seq = (
    SELECT MIN(later.seq) FROM events AS later
    WHERE later.job_id = started.job_id
        AND later.seq > started.seq
        AND later.type = 'status'
        AND later.data ->> 'to' NOT IN ('running', 'pausing', 'cancelling')
)
WHERE started.type = 'status' AND started.data ->> 'to' = 'running'
ON CONFLICT DO NOTHING
"""
"""What the status events tell of attempts that were made before this schema."""


def upgrade() -> None:
    _create_attempts()
    _create_logs()
    op.execute(sa.text(EARLIER_ATTEMPTS))


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        _job_id("attempts"),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("worker", sa.String(200), nullable=True),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("failure", JSON, nullable=True),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_attempts"),
        sqlite_with_rowid=False,
    )


def _create_logs() -> None:
    op.create_table(
        "logs",
        _job_id("logs"),
        sa.Column("attempt", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("lines", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("object_key", sa.String(500), nullable=True),
        sa.Column("size", sa.BigInteger, nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "attempt", name="pk_logs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_logs_object_key", "logs", ["object_key"])
    op.create_table(
        "log_chunks",
        _job_id("log_chunks"),
        sa.Column("attempt", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("omitted_lines", sa.BigInteger, nullable=False),
        sa.Column("omitted_bytes", sa.BigInteger, nullable=False),
        sa.Column("data", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "attempt", "seq", name="pk_log_chunks"),
    )


def _job_id(table: str) -> sa.Column[str]:
    foreign_key = sa.ForeignKey("jobs.id", ondelete="CASCADE", name=f"fk_{table}_job_id")
    return sa.Column("job_id", sa.String(64), foreign_key, nullable=False)
