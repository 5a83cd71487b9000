"""Network settings say `normalization`, and projection heads `normalize`, in every stored spec.

A job whose variance gap was submitted before that analysis had radii gets the radii that were its
default. Job names, lines of sweep tables and stored answers to idempotency keys stay as they were.
The code that renames is repeated here and not imported: a migration must do the same forever.
"""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.store.database.schema import refuse_downgrade

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
Document = dict[str, Any]
RENAMED = {"normalisation": "normalization", "normalise": "normalize"}
BATCH_ROWS = 500
GAP_STEPS = 8


def upgrade() -> None:
    _rewrite("jobs", "spec", _upgrade_job, version=True)
    _rewrite("sweeps", "spec", _upgrade_sweep)
    _rewrite("models", "description", _rename_fields)


def downgrade() -> None:
    refuse_downgrade(revision)


def _rewrite(
    table_name: str,
    column_name: str,
    change: Callable[[Document], Document],
    *,
    version: bool = False,
) -> None:
    """Rewrite the documents that change; raise their rows' ``version``, which ETags are made of."""
    table = sa.table(
        table_name,
        sa.column("id", sa.String),
        sa.column(column_name, JSON),
        sa.column("version", sa.Integer),
    )
    column = table.c[column_name]
    raised = {"version": table.c.version + 1} if version else {}
    connection = op.get_bind()
    for row_id, document in _documents(connection, table, column):
        changed = change(document)
        if changed != document:
            connection.execute(
                sa.update(table)
                .where(table.c.id == row_id)
                .values({column_name: changed, **raised})
            )


def _documents(
    connection: sa.Connection, table: sa.TableClause, column: sa.ColumnClause[Any]
) -> Iterator[tuple[str, Document]]:
    """Yield every document, read in batches along the primary key: all may not fit into memory.

    There is no condition on the text of the document: Postgres would expect so few matches that it
    would rather scan and sort the whole table again for each batch.
    """
    last_id = ""
    while True:
        page = sa.select(table.c.id, column).where(table.c.id > last_id)
        rows = connection.execute(page.order_by(table.c.id).limit(BATCH_ROWS)).all()
        if not rows:
            return
        yield from ((row_id, document) for row_id, document in rows)
        last_id = rows[-1][0]


def _rename_fields(document: Document) -> Document:
    """Rename at every depth, but not in `metadata`: its keys are the caller's labels."""
    return {
        RENAMED.get(key, key): value if key == "metadata" else _rename_in_value(value)
        for key, value in document.items()
    }


def _rename_in_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _rename_fields(value)
    if isinstance(value, list):
        return [_rename_in_value(item) for item in value]
    return value


def _upgrade_job(spec: Document) -> Document:
    spec = _rename_fields(spec)
    for analysis in spec.get("evaluation", {}).get("analyses", []):
        if analysis["name"] == "variance_gap" and analysis.get("radii") is None:
            adversary = spec.get("adversary", spec)
            analysis["radii"] = _default_radii(adversary["radius"])
    return spec


def _default_radii(training_radius: float) -> list[float]:
    """Up to twice the training radius, in equal steps."""
    return [min(1.0, 2 * training_radius * step / GAP_STEPS) for step in range(1, GAP_STEPS + 1)]


def _upgrade_sweep(spec: Document) -> Document:
    """Rename in base, rows and axes, whose keys are paths such as `student.normalisation`."""
    spec = _rename_fields(spec)
    spec["axes"] = {_rename_in_path(path): values for path, values in spec["axes"].items()}
    return spec


def _rename_in_path(path: str) -> str:
    steps = path.split(".")
    if steps[0] == "metadata":
        return path
    return ".".join(RENAMED.get(step, step) for step in steps)
