"""``python -m core.store.commands.setup``: migrate the database, and make the first admin key if ``DISTILL_BOOTSTRAP_KEY`` names one."""

import sys

from core.errors import WrongSchema
from core.settings import load_settings
from core.store import keys
from core.store.database.engine import make_engine, migrate
from core.store.database.tables import DEFAULT_PROJECT


def main() -> int:
    setup = load_settings()
    try:
        migrate(setup.resolved_database_url)
    except WrongSchema as error:
        print(error, file=sys.stderr)
        return 1
    if setup.bootstrap_key:
        keys.ensure(
            make_engine(setup.resolved_database_url),
            DEFAULT_PROJECT,
            "bootstrap",
            keys.SCOPES,
            setup.bootstrap_key,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
