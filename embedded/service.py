"""The embedded service: it migrates the database, and runs API and worker until it is stopped."""

import os
import sys
import threading
import time
import urllib.request
from http import HTTPStatus

from core.settings import Settings, embedded_environment, load_settings
from core.store.access import sessions
from core.store.database.engine import make_engine, migrate, write_session
from embedded.data_folder import DataFolder
from embedded.processes import Child, terminate_all

POLL_SECONDS = 0.2
START_SECONDS = 60.0
MAX_CRASHES_AT_START = 3
TERMINATION_SECONDS = 10.0
"""Time for the children to end, in addition to the grace period of their trainers."""


class StartupError(Exception):
    """The service cannot start; the message says why."""


class Service:
    """API and worker on one data folder, as children of this process."""

    def __init__(
        self, folder: DataFolder, host: str, port: int, device: str | None, stop: threading.Event
    ) -> None:
        self.folder = folder
        self.stop = stop
        self.environment = service_environment(folder, host, port, device)
        self.url = f"http://{connectable_host(host)}:{port}"
        # Without a proxy: only this machine's own answer counts.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def run(self) -> None:
        """Serve until ``stop`` is set. Raises StartupError if the API does not come up."""
        os.environ |= self.environment
        settings = load_settings()
        self.url += settings.root_path
        sign_in_token = self.prepare(settings)
        logs = self.folder.logs_folder
        children = [
            Child("API", "api", self.environment, logs / "api.log"),
            Child("worker", "worker.polling", self.environment, logs / "worker.log"),
        ]
        try:
            self.supervise(children, until_ready=True)
            if not self.stop.is_set():
                self.announce(sign_in_token)
            self.supervise(children)
        finally:
            terminate_all(children, settings.grace_seconds + TERMINATION_SECONDS)

    def prepare(self, settings: Settings) -> str | None:
        """Migrate the database, and make sure that there is an admin key.

        Return a token that signs in to the dashboard with it; None without a dashboard.
        """
        migrate(settings.resolved_database_url)
        engine = make_engine(settings.resolved_database_url)
        try:
            key_id = self.folder.ensure_key(engine)
            if not settings.dashboard:
                return None
            with write_session(engine) as session:
                return sessions.create_sign_in_token(session, key_id)[1]
        finally:
            engine.dispose()

    def supervise(self, children: list[Child], *, until_ready: bool = False) -> None:
        """Restart children that end, until ``stop`` is set.

        ``until_ready``: return as soon as the API is ready. Raises StartupError if it is not in
        time, or if a child keeps ending.
        """
        start = time.monotonic()
        while not self.stop.wait(POLL_SECONDS):
            for child in children:
                if sentence := child.poll():
                    print(sentence, file=sys.stderr, flush=True)
                if until_ready and child.crashes >= MAX_CRASHES_AT_START:
                    raise StartupError(f"The {child.name} does not start:\n{child.log_tail()}")
            if until_ready and self.is_ready():
                return
            if until_ready and time.monotonic() - start > START_SECONDS:
                raise StartupError(
                    f"The API was not ready within {START_SECONDS:.0f} s; "
                    f"{children[0].log} may say why."
                )

    def is_ready(self) -> bool:
        try:
            with self.opener.open(f"{self.url}/readyz", timeout=2) as response:
                return bool(response.status == HTTPStatus.OK)
        except OSError:
            return False

    def announce(self, sign_in_token: str | None) -> None:
        """Save the service's address, and print it, with one that signs in to the dashboard.

        The token is in the fragment, which browsers do not send: it gets into no log.
        """
        self.folder.save_url(self.url)
        print(
            f"distill is ready at {self.url} "
            f"(data in {self.folder.path}, key in {self.folder.key_file}, "
            f"API documentation at {self.url}/docs)",
            flush=True,
        )
        if sign_in_token is not None:
            print(
                f"Dashboard, for one sign-in within {sessions.SIGN_IN_TOKEN_SECONDS // 60} minutes "
                f"(`distill dashboard` opens it later): {self.url}/sign-in#token={sign_in_token}",
                flush=True,
            )


def service_environment(
    folder: DataFolder, host: str, port: int, device: str | None
) -> dict[str, str]:
    """Return the environment of API and worker: this process's own, with the folder's settings."""
    environment = {
        **os.environ,
        **embedded_environment(folder.path),
        "DISTILL_HOST": host,
        "DISTILL_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    if device:
        environment["DISTILL_DEVICE"] = device
    return environment


def connectable_host(host: str) -> str:
    """Return the host part of a URL under which this machine reaches a server listening at host.

    A server at 0.0.0.0 or :: listens at every address, but nobody can connect to those.
    """
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{address}]" if ":" in address else address
