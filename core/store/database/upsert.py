"""INSERT … ON CONFLICT, for which SQLAlchemy has one class for each database."""

from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.orm import Session

from core.store.database.tables import Base


def insert(session: Session, table: type[Base]) -> PostgresInsert | SqliteInsert:
    """Return an INSERT of the session's database, which has ``on_conflict_do_…`` methods."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return SqliteInsert(table) if is_sqlite else PostgresInsert(table)
