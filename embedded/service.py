"""Bring the folder up to date, start API and worker on it, keep them running, end them."""

import os
import sys
import threading
import time
import urllib.request
from http import HTTPStatus

from core.settings import Settings
from core.store.database.engine import make_engine, migrate
from embedded.data_folder import DataFolder, write_private
from embedded.processes import Child, terminate_all

LOOK_SECONDS = 0.2
START_SECONDS = 60.0
FALLS_AT_START = 3
BEYOND_GRACE_SECONDS = 10.0


class StartupError(Exception):
    pass


class Service:
    def __init__(
        self, folder: DataFolder, host: str, port: int, device: str | None, stop: threading.Event
    ) -> None:
        self.folder, self.stop = folder, stop
        self.environment = environment(folder, host, port, device)
        self.url = f"http://{reachable(host)}:{port}"
        # No proxy: the question is whether this machine answers.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def run(self) -> None:
        """Until ``stop``. Raises CannotStart when the API does not come up."""
        os.environ |= self.environment
        settings = Settings()
        self.prepare(settings.resolved_database_url)
        children = [
            Child("API", "api", self.environment, self.folder.logs / "api.log"),
            Child("worker", "worker.polling", self.environment, self.folder.logs / "worker.log"),
        ]
        try:
            self.supervise(children, until_ready=True)
            if not self.stop.is_set():
                self.announce()
            self.supervise(children)
        finally:
            terminate_all(children, settings.grace_seconds + BEYOND_GRACE_SECONDS)

    def prepare(self, database_url: str) -> None:
        migrate(database_url)
        engine = make_engine(database_url)
        try:
            self.folder.ensure_key(engine)
        finally:
            engine.dispose()

    def supervise(self, children: list[Child], *, until_ready: bool = False) -> None:
        begun = time.monotonic()
        while not self.stop.wait(LOOK_SECONDS):
            for child in children:
                if fall := child.poll():
                    print(fall, file=sys.stderr, flush=True)
                if until_ready and child.crashes >= FALLS_AT_START:
                    raise StartupError(f"The {child.name} does not start:\n{child.log_tail()}")
            if until_ready and self.is_ready():
                return
            if until_ready and time.monotonic() - begun > START_SECONDS:
                raise StartupError(
                    f"The API was not ready within {START_SECONDS:.0f} s; {children[0].log} may say why."
                )

    def is_ready(self) -> bool:
        try:
            with self.opener.open(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    def announce(self) -> None:
        write_private(self.folder.url, f"{self.url}\n")
        print(
            f"distill is ready at {self.url} (data in {self.folder.path}, key in {self.folder.key}, "
            f"API documentation at {self.url}/docs)",
            flush=True,
        )


def environment(folder: DataFolder, host: str, port: int, device: str | None) -> dict[str, str]:
    """What the children are told. Everything is kept in the folder, whatever else this shell is set up for."""
    ours = {
        "DISTILL_HOME": str(folder.path),
        "DISTILL_HOST": host,
        "DISTILL_PORT": str(port),
        "DISTILL_DATABASE_URL": "",
        "DISTILL_BROKER_URL": "",
        "DISTILL_OBJECTS_URL": "",
        "DISTILL_SCRATCH_FOLDER": str(folder.path / "scratch"),
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **ours, **({"DISTILL_DEVICE": device} if device else {})}


def reachable(host: str) -> str:
    """The address to connect to, for the one that is listened at."""
    plain = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{plain}]" if ":" in plain else plain
