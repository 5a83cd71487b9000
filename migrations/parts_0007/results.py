"""Results as rows, so that jobs and models can be sorted and filtered by them, and words to search
by.

Of jobs that earlier releases ran, values are known: no number of images, interval or mask. The code
that reads keys and splits words is repeated here and not imported: a migration must do the same
forever.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
WORD = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
OF_MODEL = sa.text("model_id IS NOT NULL")
BATCH_ROWS = 500
MAX_KEY_LENGTH = 200
MAX_WORDS = 64
ID_TAILS = (7, 10)

JOBS = sa.table(
    "jobs",
    *(
        sa.column(name, sa.String)
        for name in ("id", "project_id", "kind", "name", "dataset_id", "model_id")
    ),
    sa.column("spec", JSON),
    sa.column("results", JSON),
    sa.column("metadata", JSON),
)
ITEMS = {"models": "model", "datasets": "dataset"}
"""By table, what search words call its rows."""
JOB_RESULTS = sa.table(
    "job_results",
    *(
        sa.column(name, sa.String)
        for name in (
            *("job_id", "key", "network", "project_id", "dataset_id", "name", "norm"),
            "model_id",
        )
    ),
    sa.column("is_main", sa.Boolean),
    sa.column("radius", sa.Double),
    sa.column("value", sa.Double),
)
SEARCH_WORDS = sa.table(
    "search_words",
    *(sa.column(name, sa.String) for name in ("item_id", "word", "noun", "project_id")),
)
_KEY = re.compile(
    r"^(?P<name>[A-Za-z0-9_]+)(?:-[0-9]+)?(?::[^@#]*)?"
    r"(?:@(?P<norm>linf|l2):(?P<radius>[^#]+))?(?:#[0-9]+)?$"
)
_ID_PREFIX = re.compile(r"\b(job|mdl|ds)_(?=[a-z0-9])")
_WORD = re.compile(r"[^\W_]+")


def upgrade() -> None:
    _create_job_results()
    _create_search_words()
    connection = op.get_bind()
    for jobs in _pages_of_jobs(connection):
        results = [row for job in jobs for row in _results(job)]
        if results:
            connection.execute(sa.insert(JOB_RESULTS), results)
        words = [row for job in jobs for row in _words(job, "job", job.metadata or {})]
        connection.execute(sa.insert(SEARCH_WORDS), words)
    for table, noun in ITEMS.items():
        _index_names(connection, table, noun)
    _keep_current_results(connection)
    _create_indexes()


def _create_job_results() -> None:
    op.create_table(
        "job_results",
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("network", sa.String(16), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("dataset_id", sa.String(64), nullable=True),
        sa.Column("is_main", sa.Boolean, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("norm", sa.String(8), nullable=True),
        sa.Column("radius", sa.Double, nullable=True),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=True),
        sa.Column("low", sa.Double, nullable=True),
        sa.Column("high", sa.Double, nullable=True),
        sa.Column("model_id", sa.String(64), nullable=True),
        sa.Column("image_set", sa.String(64), nullable=True),
        sa.Column("per_class", JSON, nullable=True),
        sa.Column("mask", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("job_id", "key", "network", name="pk_job_results"),
    )


def _create_search_words() -> None:
    op.create_table(
        "search_words",
        sa.Column("item_id", sa.String(64), nullable=False),
        sa.Column("word", WORD, nullable=False),
        sa.Column("noun", sa.String(8), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("item_id", "word", name="pk_search_words"),
    )


def _create_indexes() -> None:
    columns = ["project_id", "is_main", "key", "value", "job_id"]
    op.create_index("ix_job_results_project_id_is_main_key_value_job_id", "job_results", columns)
    of_models: dict[str, Any] = {"sqlite_where": OF_MODEL, "postgresql_where": OF_MODEL}
    op.create_index(
        "ix_job_results_model_id_key", "job_results", ["model_id", "key"], unique=True, **of_models
    )
    for columns in (
        ["project_id", "key", "value", "model_id"],
        ["project_id", "dataset_id", "key", "value", "model_id"],
    ):
        op.create_index(f"ix_job_results_{'_'.join(columns)}", "job_results", columns, **of_models)
    has_results = sa.text("results IS NOT NULL")
    op.create_index(
        "ix_jobs_with_results",
        "jobs",
        ["project_id", "status", "created_at", "id"],
        sqlite_where=has_results,
        postgresql_where=has_results,
    )
    has_ended = sa.text("finished_at IS NOT NULL")
    for columns in (
        ["project_id", "finished_at", "id"],
        ["project_id", "status", "finished_at", "id"],
    ):
        op.create_index(
            f"ix_jobs_{'_'.join(columns)}",
            "jobs",
            columns,
            sqlite_where=has_ended,
            postgresql_where=has_ended,
        )
    columns = ["project_id", "noun", "word", "item_id"]
    op.create_index("ix_search_words_project_id_noun_word_item_id", "search_words", columns)


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


def _results(job: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a job's results, without those whose keys no measure has."""
    models = {"best": job.model_id}
    if job.kind == "evaluation":
        models = {"model": job.spec.get("model")}
    for network, numbers in (job.results or {}).items():
        for key, value in numbers.items():
            match = _KEY.match(key)
            if match is None or len(key) > MAX_KEY_LENGTH or value is None:
                continue
            yield {
                "job_id": job.id,
                "key": key,
                "network": network,
                "project_id": job.project_id,
                "dataset_id": job.dataset_id,
                "is_main": network in ("best", "model"),
                "name": match["name"],
                "norm": match["norm"],
                "radius": None if match["radius"] is None else _radius(match["radius"]),
                "value": value,
                "model_id": models.get(network),
            }


def _radius(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(text)


def _keep_current_results(connection: sa.Connection) -> None:
    """Of several results of a model with one key, the newest stays its current one."""
    newer = JOB_RESULTS.alias("newer")
    is_replaced = (
        sa.select(sa.literal(1))
        .where(
            newer.c.model_id == JOB_RESULTS.c.model_id,
            newer.c.key == JOB_RESULTS.c.key,
            newer.c.job_id > JOB_RESULTS.c.job_id,
        )
        .exists()
    )
    connection.execute(
        sa.update(JOB_RESULTS)
        .where(JOB_RESULTS.c.model_id.is_not(None), is_replaced)
        .values(model_id=None)
    )


def _index_names(connection: sa.Connection, table: str, noun: str) -> None:
    items = sa.table(table, *(sa.column(name, sa.String) for name in ("id", "project_id", "name")))
    last_id = ""
    while True:
        page = sa.select(items).where(items.c.id > last_id, items.c.project_id.is_not(None))
        rows = connection.execute(page.order_by(items.c.id).limit(BATCH_ROWS)).all()
        if not rows:
            return
        words = [word for row in rows for word in _words(row, noun, {})]
        connection.execute(sa.insert(SEARCH_WORDS), words)
        last_id = rows[-1].id


def _words(row: Any, noun: str, metadata: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the rows of an item's words: of its id, its name and the values of its metadata."""
    words = [row.id[-length:] for length in ID_TAILS]
    for text in (row.id, row.name or "", *map(str, metadata.values())):
        words += _WORD.findall(_ID_PREFIX.sub("", text.lower()))
    for word in list(dict.fromkeys(word[:64] for word in words))[:MAX_WORDS]:
        yield {"item_id": row.id, "word": word, "noun": noun, "project_id": row.project_id}
