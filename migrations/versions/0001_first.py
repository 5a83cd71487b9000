"""The first tables, the default project, and the data set that comes with the program."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.store.database.clock import database_now
from core.store.database.schema import refuse_downgrade

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    _projects()
    _api_keys()
    _idempotency()
    _datasets()
    _models()
    _jobs()
    _labels()
    _events()
    _metrics()
    _artifacts()
    _first_rows()


def downgrade() -> None:
    refuse_downgrade(revision)


def _table(name: str, *parts: Any, primary_key: str = "id", **options: Any) -> None:
    op.create_table(
        name, *parts, sa.PrimaryKeyConstraint(*primary_key.split(), name=f"pk_{name}"), **options
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _text(name: str, length: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _nullable_text(name: str, length: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=True)


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def _nullable_integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=True)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, JSON, nullable=False)


def _nullable_json(name: str) -> sa.Column[Any]:
    return sa.Column(name, JSON, nullable=True)


def _foreign_key(
    table: str, column: str, parent: str, ondelete: str | None = None
) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{parent}.id"], name=f"fk_{table}_{column}", ondelete=ondelete
    )


def _projects() -> None:
    _table(
        "projects",
        _text("id", 64),
        _text("name", 200),
        _integer("created_at"),
        _unique("projects", "name"),
    )


def _api_keys() -> None:
    _table(
        "api_keys",
        _text("id", 64),
        _text("project_id", 64),
        _text("name", 200),
        _json("scopes"),
        _text("sha256", 64),
        _integer("created_at"),
        _nullable_integer("expires_at"),
        _nullable_integer("revoked_at"),
        _nullable_integer("last_used_at"),
        _foreign_key("api_keys", "project_id", "projects"),
        _unique("api_keys", "sha256"),
    )
    _index("api_keys", "project_id", "created_at", "id")


def _idempotency() -> None:
    _table(
        "idempotency",
        _text("key_id", 64),
        _text("key", 200),
        _text("fingerprint", 64),
        _text("status", 16),
        _nullable_integer("response_status"),
        _nullable_text("response_body"),
        _integer("created_at"),
        primary_key="key_id key",
    )
    _index("idempotency", "created_at")


def _datasets() -> None:
    _table(
        "datasets",
        _text("id", 64),
        _nullable_text("project_id", 64),
        _text("name", 200),
        _text("source", 16),
        _text("status", 16),
        _nullable_json("problem"),
        _nullable_json("description"),
        _nullable_text("object_key", 500),
        _nullable_integer("size"),
        _nullable_text("sha256", 64),
        _nullable_text("import_job_id", 64),
        _integer("version"),
        _integer("created_at"),
        _foreign_key("datasets", "project_id", "projects"),
        _unique("datasets", "project_id", "name"),
    )
    _index("datasets", "import_job_id")
    _index("datasets", "project_id", "created_at", "id")


def _models() -> None:
    _table(
        "models",
        _text("id", 64),
        _text("project_id", 64),
        _text("name", 200),
        _json("description"),
        _text("architecture", 64),
        _integer("classes"),
        _nullable_integer("parameters"),
        _text("status", 16),
        _nullable_json("problem"),
        _nullable_json("report"),
        _nullable_text("object_key", 500),
        _nullable_integer("size"),
        _nullable_text("sha256", 64),
        _nullable_text("source_job_id", 64),
        _nullable_text("import_job_id", 64),
        _integer("version"),
        _integer("created_at"),
        _foreign_key("models", "project_id", "projects"),
        _unique("models", "project_id", "name"),
        _unique("models", "source_job_id"),
    )
    _index("models", "import_job_id")
    _index("models", "project_id", "created_at", "id")


def _jobs() -> None:
    _table(
        "jobs",
        _text("id", 64),
        _text("project_id", 64),
        _text("kind", 32),
        _nullable_text("name", 200),
        _json("spec"),
        _nullable_text("student", 64),
        _nullable_text("method", 64),
        _nullable_text("dataset", 200),
        _nullable_text("dataset_id", 64),
        _nullable_text("teacher_id", 64),
        _json("metadata"),
        _text("status", 16),
        _nullable_text("phase", 16),
        _integer("attempt"),
        _integer("infrastructure_failures"),
        _nullable_text("worker", 200),
        _nullable_integer("lease_expires_at"),
        _nullable_integer("not_before"),
        _nullable_text("pending_reason"),
        _nullable_integer("cancel_requested_at"),
        _nullable_json("progress"),
        _nullable_json("failure"),
        _nullable_json("results"),
        _nullable_text("model_id", 64),
        _integer("event_seq"),
        _integer("version"),
        _integer("created_at"),
        _nullable_integer("started_at"),
        _nullable_integer("finished_at"),
        _foreign_key("jobs", "project_id", "projects"),
        _foreign_key("jobs", "dataset_id", "datasets"),
        _foreign_key("jobs", "teacher_id", "models"),
    )
    _index("jobs", "project_id", "created_at", "id")
    _index("jobs", "status", "created_at", "id")
    for column in ("status", "kind", "method", "student", "dataset_id"):
        _index("jobs", "project_id", column, "created_at", "id")


def _labels() -> None:
    _table(
        "labels",
        _text("project_id", 64),
        _text("key", 64),
        _text("value", 200),
        _text("job_id", 64),
        _foreign_key("labels", "job_id", "jobs", "CASCADE"),
        primary_key="project_id key value job_id",
    )
    _index("labels", "job_id")


def _events() -> None:
    _table(
        "events",
        _text("job_id", 64),
        _integer("seq"),
        _text("type", 32),
        _integer("at"),
        _integer("attempt"),
        _json("data"),
        _foreign_key("events", "job_id", "jobs", "CASCADE"),
        primary_key="job_id seq",
        sqlite_with_rowid=False,
    )


def _metrics() -> None:
    _table(
        "metrics",
        _text("job_id", 64),
        _text("name", 100),
        _integer("step"),
        sa.Column("value", sa.Double(), nullable=False),
        _integer("attempt"),
        _foreign_key("metrics", "job_id", "jobs", "CASCADE"),
        primary_key="job_id name step",
        sqlite_with_rowid=False,
    )


def _artifacts() -> None:
    _table(
        "artifacts",
        _text("id", 64),
        _text("job_id", 64),
        _text("name", 200),
        _text("kind", 16),
        _text("object_key", 500),
        _integer("size"),
        _text("sha256", 64),
        _text("media_type", 100),
        _nullable_integer("step"),
        _integer("attempt"),
        _integer("created_at"),
        _foreign_key("artifacts", "job_id", "jobs", "CASCADE"),
        _unique("artifacts", "job_id", "name"),
    )


def _first_rows() -> None:
    projects = sa.table("projects", sa.column("id"), sa.column("name"), sa.column("created_at"))
    op.execute(
        sa.insert(projects).values(id="prj_default", name="default", created_at=database_now())
    )
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(name) for name in ("id", "name", "source", "status", "version", "created_at")
    ]
    datasets = sa.table("datasets", *columns, sa.column("description", JSON))
    digits = {
        "source": "digits",
        "classes": 10,
        "class_names": list("0123456789"),
        "channels": 1,
        "height": 8,
        "width": 8,
        "train_images": 1437,
        "test_images": 360,
    }
    op.execute(
        sa.insert(datasets).values(
            id="ds_digits",
            name="digits",
            source="builtin",
            status="ready",
            version=1,
            created_at=database_now(),
            description=digits,
        )
    )
