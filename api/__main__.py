"""``python -m api``: the REST service in one process, on uvloop."""

import gc
import sys

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from api.app import create_app
from api.http.protocol import BoundedProtocol
from core.errors import Unavailable, WrongSchema
from core.settings import Settings, is_loopback, load_settings, split_commas
from core.store.access import keys
from core.store.database.engine import make_engine, read_session, require_schema

GRACE_SECONDS = 5


def main() -> int:
    """Serve until a signal. Return 1 for a wrong database schema, 2 where API keys are missing."""
    settings = load_settings()
    engine = make_engine(settings.resolved_database_url)
    try:
        require_schema(engine)
        is_protected = (
            bool(settings.bootstrap_key) or is_loopback(settings.host) or _has_key(engine)
        )
    except WrongSchema as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        engine.dispose()
    if not is_protected:
        print(
            f"Other machines can reach {settings.host}, and there is no API key yet. "
            "Set DISTILL_BOOTSTRAP_KEY and run `python -m core.store.commands.setup` first.",
            file=sys.stderr,
        )
        return 2
    _serve(settings)
    return 0


def _serve(settings: Settings) -> None:
    proxies = split_commas(settings.trusted_proxies)
    uvicorn.run(
        create_frozen_app,
        factory=True,
        host=settings.host,
        port=settings.port,
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


def create_frozen_app() -> FastAPI:
    """Create the application and exempt it from garbage collection.

    To traverse all of its objects takes a tenth of a second, in which no request is served.
    """
    app = create_app()
    gc.collect()
    gc.freeze()
    return app


def _has_key(engine: Engine) -> bool:
    """Also True where the database is unavailable: until it is back, every request is refused."""
    try:
        with read_session(engine) as session:
            return keys.any_exist(session)
    except Unavailable:
        return True


if __name__ == "__main__":
    sys.exit(main())
