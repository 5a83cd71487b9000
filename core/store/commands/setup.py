"""``python -m core.store.commands.setup``: migrate the database.

If ``DISTILL_BOOTSTRAP_KEY`` is set, also create a first key with this secret and all scopes.
"""

import sys

from core.errors import WrongSchema
from core.settings import load_settings
from core.store.access import keys
from core.store.database.engine import make_engine, migrate
from core.store.database.tables import DEFAULT_PROJECT


def main() -> int:
    """Run the command; return its exit status."""
    settings = load_settings()
    url = settings.resolved_database_url
    try:
        migrate(url)
    except WrongSchema as error:
        print(error, file=sys.stderr)
        return 1
    if settings.bootstrap_key:
        engine = make_engine(url)
        keys.ensure(engine, DEFAULT_PROJECT, "bootstrap", keys.SCOPES, settings.bootstrap_key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
