"""``python -m api``: one process, on uvloop."""

import gc
import sys

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from api.app import create_app
from api.http.protocol import BoundedProtocol
from core.errors import Unavailable, WrongSchema
from core.settings import is_loopback, split_commas, load_settings
from core.store import keys
from core.store.database.engine import make_engine, read_session, require_schema

GRACE_SECONDS = 5


def main() -> int:
    setup = load_settings()
    engine = make_engine(setup.resolved_database_url)
    try:
        require_schema(engine)
        has_key = bool(setup.bootstrap_key) or is_loopback(setup.host) or _has_key(engine)
    except WrongSchema as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        engine.dispose()
    if not has_key:
        print(
            f"Others can reach {setup.host}, and there is no API key yet. Set DISTILL_BOOTSTRAP_KEY and run "
            "`python -m core.store.commands.setup` first.",
            file=sys.stderr,
        )
        return 2
    proxies = split_commas(setup.trusted_proxies)
    uvicorn.run(
        create_frozen_app,
        factory=True,
        host=setup.host,
        port=setup.port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
        log_level="warning",
    )
    return 0


def create_frozen_app() -> FastAPI:
    """The application, out of the garbage collector's sight: to look through all of it takes a tenth of a second, for which
    nobody is answered.
    """
    app = create_app()
    gc.collect()
    gc.freeze()
    return app


def _has_key(engine: Engine) -> bool:
    """Also where the database does not answer: until it does, nobody is let in."""
    try:
        with read_session(engine) as session:
            return keys.any_exist(session)
    except Unavailable:
        return True


if __name__ == "__main__":
    sys.exit(main())
