"""``python -m core.store.setup``: migrate the database, and make the first admin key if ``DISTILL_BOOTSTRAP_KEY`` names one."""

from core.settings import settings
from core.store import keys
from core.store.engine import make_engine, migrate
from core.store.tables import DEFAULT_PROJECT


def main() -> None:
    setup = settings()
    migrate(setup.resolved_database_url)
    if setup.bootstrap_key:
        keys.ensure(make_engine(setup.resolved_database_url), DEFAULT_PROJECT, "bootstrap", keys.SCOPES, setup.bootstrap_key)


if __name__ == "__main__":
    main()
