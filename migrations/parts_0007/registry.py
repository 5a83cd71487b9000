"""Notes and metadata of jobs, models and data sets; versions and aliases of models; the inputs of
jobs as rows, for lineage; images of data sets.

Each group of changes is a function of its own, and ``upgrade`` calls them in any order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BATCH_ROWS = 500
STUDENT_SUFFIX_LENGTH = 10
"""A student's name was its job's, a hyphen, and this many last characters of the job's id."""

JOBS = sa.table(
    "jobs",
    sa.column("id", sa.String),
    sa.column("spec", JSON),
    sa.column("teacher_id", sa.String),
    sa.column("kind", sa.String),
    sa.column("created_at", sa.BigInteger),
)
JOB_INPUTS = sa.table(
    "job_inputs",
    sa.column("job_id", sa.String),
    sa.column("role", sa.String),
    sa.column("input_id", sa.String),
    sa.column("created_at", sa.BigInteger),
)
MODELS = sa.table(
    "models",
    sa.column("id", sa.String),
    sa.column("project_id", sa.String),
    sa.column("name", sa.String),
    sa.column("status", sa.String),
    sa.column("source_job_id", sa.String),
    sa.column("series", sa.String),
    sa.column("series_version", sa.BigInteger),
    sa.column("created_at", sa.BigInteger),
)
MODEL_SERIES = sa.table(
    "model_series",
    sa.column("project_id", sa.String),
    sa.column("name", sa.String),
    sa.column("last_version", sa.BigInteger),
)


def upgrade() -> None:
    _add_notes_and_metadata()
    _add_cloned_from()
    _add_series()
    _create_aliases()
    _create_job_inputs()
    _add_thumbnails()


# -- notes and metadata


def _add_notes_and_metadata() -> None:
    for table in ("jobs", "models", "datasets"):
        op.add_column(table, sa.Column("notes", sa.String, nullable=True))
        op.add_column(table, sa.Column("edits", sa.BigInteger, nullable=False, server_default="0"))
    for table in ("models", "datasets"):
        op.add_column(table, sa.Column("metadata", JSON, nullable=False, server_default="{}"))


# -- lineage


def _add_cloned_from() -> None:
    op.add_column("jobs", sa.Column("cloned_from", sa.String(64), nullable=True))


def _create_job_inputs() -> None:
    op.create_table(
        "job_inputs",
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("input_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "role", name="pk_job_inputs"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_inputs_job_id", ondelete="CASCADE"
        ),
    )
    connection = op.get_bind()
    for jobs in _pages_of_jobs(connection):
        rows = [
            {"job_id": job.id, "role": role, "input_id": input_id, "created_at": job.created_at}
            for job in jobs
            for role, input_id in _inputs(job).items()
        ]
        if rows:
            connection.execute(sa.insert(JOB_INPUTS), rows)
    columns = ["input_id", "created_at", "job_id"]
    op.create_index("ix_job_inputs_input_id_created_at_job_id", "job_inputs", columns)


def _pages_of_jobs(connection: sa.Connection) -> Iterator[Sequence[Any]]:
    """Yield all jobs in pages along the primary key."""
    last_id = ""
    while True:
        page = sa.select(JOBS).where(JOBS.c.id > last_id).order_by(JOBS.c.id).limit(BATCH_ROWS)
        jobs = connection.execute(page).all()
        if not jobs:
            return
        yield jobs
        last_id = jobs[-1].id


def _inputs(job: Any) -> dict[str, str]:
    """Return the ids of the models and the extra data set of a job, by role."""
    spec = job.spec or {}
    extra = (spec.get("data") or {}).get("extra") or {}
    ids = {
        "reference" if job.kind == "evaluation" else "teacher": job.teacher_id,
        "model": spec.get("model"),
        "start_from": spec.get("start_from"),
        "extra": extra.get("dataset"),
    }
    return {role: input_id for role, input_id in ids.items() if input_id}


# -- series and aliases of models


def _add_series() -> None:
    op.add_column(
        "models", sa.Column("series", sa.String(200), nullable=False, server_default=sa.text("''"))
    )
    op.add_column("models", sa.Column("series_version", sa.BigInteger, nullable=True))
    op.create_table(
        "model_series",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("last_version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "name", name="pk_model_series"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_model_series_project_id"),
    )
    _number_versions(op.get_bind())
    columns = ["project_id", "series", "series_version"]
    name = "ix_models_project_id_series_series_version"
    op.create_index(name, "models", columns, unique=True)


def _number_versions(connection: sa.Connection) -> None:
    """Give every model its series, and those that are ready a version, the oldest first."""
    columns = [MODELS.c[name] for name in ("id", "project_id", "name", "status", "source_job_id")]
    models = connection.execute(
        sa.select(*columns).order_by(MODELS.c.created_at, MODELS.c.id)
    ).all()
    last_versions: dict[tuple[str, str], int] = {}
    changes = []
    for model in models:
        key = (model.project_id, _series_name(model))
        version = None
        if model.status == "ready":
            version = last_versions[key] = last_versions.get(key, 0) + 1
        changes.append({"model": model.id, "new_series": key[1], "new_version": version})
    if changes:
        statement = sa.update(MODELS).where(MODELS.c.id == sa.bindparam("model"))
        values: dict[str, Any] = {
            "series": sa.bindparam("new_series"),
            "series_version": sa.bindparam("new_version"),
        }
        connection.execute(statement.values(values), changes)
    series = [
        {"project_id": project_id, "name": name, "last_version": version}
        for (project_id, name), version in last_versions.items()
    ]
    if series:
        connection.execute(sa.insert(MODEL_SERIES), series)


def _series_name(model: Any) -> str:
    """Return the name of an upload; of a student, what its name has before the job's id."""
    suffix = f"-{(model.source_job_id or '')[-STUDENT_SUFFIX_LENGTH:]}"
    name = str(model.name)
    return name.removesuffix(suffix) if model.source_job_id else name


def _create_aliases() -> None:
    op.create_table(
        "model_aliases",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("series", sa.String(200), nullable=False),
        sa.Column("alias", sa.String(32), nullable=False),
        sa.Column("model_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "series", "alias", name="pk_model_aliases"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_model_aliases_project_id"
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name="fk_model_aliases_model_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_model_aliases_model_id", "model_aliases", ["model_id"])


# -- images of data sets


def _add_thumbnails() -> None:
    op.add_column("datasets", sa.Column("images", sa.BigInteger, nullable=True))
    op.create_table(
        "thumbnail_sheets",
        sa.Column("dataset_id", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("first_label", sa.BigInteger, nullable=False),
        sa.Column("last_label", sa.BigInteger, nullable=False),
        sa.Column("columns", sa.BigInteger, nullable=False),
        sa.Column("tile_width", sa.BigInteger, nullable=False),
        sa.Column("tile_height", sa.BigInteger, nullable=False),
        sa.Column("images", JSON, nullable=False),
        sa.Column("object_key", sa.String(500), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", "number", name="pk_thumbnail_sheets"),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name="fk_thumbnail_sheets_dataset_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_thumbnail_sheets_object_key", "thumbnail_sheets", ["object_key"])
    _describe_digits()


def _describe_digits() -> None:
    """Give digits, which no job imports, what an import says of the others."""
    train = [136, 154, 151, 135, 143, 143, 151, 153, 138, 133]
    test = [42, 28, 26, 48, 38, 39, 30, 26, 36, 47]
    report = {
        "layout": "Scikit-learn's handwritten digits; every fifth image is a test image.",
        "remarks": [],
        "ignored_files": 0,
        "ignored": [],
        "images": {
            "train": {str(digit): count for digit, count in enumerate(train)},
            "test": {str(digit): count for digit, count in enumerate(test)},
        },
    }
    datasets = sa.table(
        "datasets",
        sa.column("id", sa.String),
        sa.column("images", sa.BigInteger),
        sa.column("report", JSON),
    )
    change = sa.update(datasets).where(datasets.c.id == "ds_digits")
    op.execute(change.values(images=640, report=report))
