"""``python -m api``: one process, on uvloop."""

import uvicorn

from core.settings import settings

GRACE_SECONDS = 5


def main() -> None:
    setup = settings()
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


if __name__ == "__main__":
    main()
