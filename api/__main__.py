"""``python -m api``: one process, on uvloop."""

import sys

import uvicorn

from core.errors import WrongSchema
from core.settings import settings
from core.store.engine import make_engine, require_schema

GRACE_SECONDS = 5


def main() -> int:
    setup = settings()
    engine = make_engine(setup.resolved_database_url)
    try:
        require_schema(engine)
    except WrongSchema as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        engine.dispose()
    uvicorn.run(
        "api.app:create_app",
        factory=True,
        host=setup.host,
        port=setup.port,
        loop="uvloop",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        log_level="warning",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
