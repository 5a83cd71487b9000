"""``python -m api``: one process, on uvloop."""

import sys

import uvicorn

from api.protocol import BoundedProtocol
from core.errors import Unavailable
from core.settings import Settings, is_loopback, listed, settings
from core.store import keys
from core.store.engine import make_engine, reading

GRACE_SECONDS = 5


def main() -> int:
    setup = settings()
    if not is_loopback(setup.host) and not setup.bootstrap_key and not _has_key(setup):
        print(
            f"Others can reach {setup.host}, and there is no API key yet. Set DISTILL_BOOTSTRAP_KEY and run "
            "`python -m core.store.setup` first.",
            file=sys.stderr,
        )
        return 2
    proxies = listed(setup.trusted_proxies)
    uvicorn.run(
        "api.app:create_app",
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


def _has_key(setup: Settings) -> bool:
    """Also where the database does not answer: until it does, nobody is let in."""
    engine = make_engine(setup.resolved_database_url)
    try:
        with reading(engine) as session:
            return keys.exist(session)
    except Unavailable:
        return True
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
