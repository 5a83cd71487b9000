"""Alembic's entry point.

Runs the migrations in the transaction that ``core.store.database.engine.migrate`` has opened.
"""

from alembic import context

from core.store.database.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite cannot alter a column: Alembic copies the table instead.
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
