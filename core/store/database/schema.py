"""Which schema a database has, which ones this program knows, and what follows from the difference.

A program works on its own schema only. An older one is migrated forward (``core.store.database.engine.migrate``); a newer one is left
alone; there is no way back but a backup.
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
    """Alembic's, for the migrations of this program."""
    config = Config()
    config.set_main_option("script_location", next(iter(migrations.__path__)).replace("%", "%%"))
    return config


@cache
def known_revisions() -> tuple[str, ...]:
    """Every schema that this program can migrate from, the newest first: its own."""
    return tuple(
        script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
    )


def current_revision(connection: Connection) -> str | None:
    """The database's; None before its first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def require_current(session: Session) -> None:
    """Raises WrongSchema where the database's is not this program's own."""
    found = current_revision(session.connection())
    refuse_newer(found)
    if found is None:
        raise WrongSchema(
            f"This database has no schema yet; this program needs {known_revisions()[0]}. Run: {SETUP_COMMAND}"
        )
    if found != known_revisions()[0]:
        raise WrongSchema(
            f"This database has schema {found}; this program needs {known_revisions()[0]}. Run: {SETUP_COMMAND}"
        )


def refuse_newer(found: str | None) -> None:
    """Raises WrongSchema for one that this program cannot have made."""
    if found is not None and found not in known_revisions():
        raise WrongSchema(
            f"This database has schema {found}; this program knows up to {known_revisions()[0]}. "
            "Run a program at least as new as the one that migrated it, or restore a backup made before the upgrade."
        )


def is_current() -> ColumnElement[bool]:
    """A condition of a statement, for what must not happen a moment after somebody has migrated the database."""
    return select(_version.c.version_num == known_revisions()[0]).scalar_subquery()


def refuse_downgrade(revision: str) -> NoReturn:
    """What every migration's ``downgrade`` is: taking columns away would take what is in them."""
    raise WrongSchema(
        f"Schema {revision} cannot be taken back; restore a backup made before the upgrade."
    )
