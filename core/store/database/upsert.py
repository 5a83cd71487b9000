"""INSERT … ON CONFLICT, which SQLAlchemy spells once for each database."""

from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.orm import Session

from core.store.database.tables import Base


def insert(session: Session, table: type[Base]) -> PostgresInsert | SqliteInsert:
    sqlite = session.get_bind().dialect.name == "sqlite"
    return SqliteInsert(table) if sqlite else PostgresInsert(table)
