"""Schema revisions: which one a database has, and which ones this program knows.

A program works on its own schema only. An older one is migrated forward
(``core.store.database.engine.migrate``), a newer one is left alone, and a migration is undone only
by restoring a backup.
"""

from functools import cache
from typing import NoReturn

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnElement, Connection, column, select, table
from sqlalchemy.orm import Session

import migrations
from core.errors import WrongSchema

SETUP_COMMAND = "python -m core.store.commands.setup"
_version = table("alembic_version", column("version_num"))


def configuration() -> Config:
    """Return Alembic's configuration for the migrations of this program."""
    config = Config()
    config.set_main_option("script_location", next(iter(migrations.__path__)).replace("%", "%%"))
    return config


@cache
def known_revisions() -> tuple[str, ...]:
    """Return every revision that this program can migrate from, its own first."""
    return tuple(
        script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
    )


def current_revision(connection: Connection) -> str | None:
    """Return the database's revision; None before its first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def require_current(session: Session) -> None:
    """Raise WrongSchema where the database does not have this program's own schema."""
    revision = current_revision(session.connection())
    refuse_newer(revision)
    own = known_revisions()[0]
    if revision is None:
        raise WrongSchema(
            f"This database has no schema yet; this program needs {own}. Run: {SETUP_COMMAND}"
        )
    if revision != own:
        raise WrongSchema(
            f"This database has schema {revision}; this program needs {own}. Run: {SETUP_COMMAND}"
        )


def refuse_newer(revision: str | None) -> None:
    """Raise WrongSchema for a revision that this program does not know."""
    if revision is not None and revision not in known_revisions():
        raise WrongSchema(
            f"This database has schema {revision}; "
            f"this program knows up to {known_revisions()[0]}. "
            "Run a program at least as new as the one that migrated it, "
            "or restore a backup made before the upgrade."
        )


def is_current() -> ColumnElement[bool]:
    """Return a condition: the database has this program's schema.

    A statement with this condition does nothing once another program has migrated the database.
    """
    return select(_version.c.version_num == known_revisions()[0]).scalar_subquery()


def refuse_downgrade(revision: str) -> NoReturn:
    """Raise WrongSchema: no migration can be undone, since dropped columns lose their values."""
    raise WrongSchema(
        f"Schema {revision} cannot be taken back; restore a backup made before the upgrade."
    )
