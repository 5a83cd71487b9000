"""Start the service's processes on this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.servers import free_port

KEY = "dk_" + "benchmark" * 5


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with these DISTILL_ settings and no others."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("DISTILL_")
    }
    return {**inherited, **settings}


@contextmanager
def process(*arguments: str, log: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        running = subprocess.Popen(
            [sys.executable, *arguments], env=environment(**settings), stdout=output, stderr=output
        )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(60)


def wait_ready(url: str) -> None:
    """Raises SystemExit after a minute."""
    for _ in range(600):
        try:
            if httpx2.get(f"{url}/readyz", timeout=1).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} did not become ready.")


@dataclass(frozen=True)
class Database:
    """A database, and the service's home folder."""

    name: str
    """SQLite or Postgres."""
    url: str
    folder: Path

    def settings(self, port: int) -> dict[str, str]:
        return {
            "DISTILL_HOME": str(self.folder),
            "DISTILL_DATABASE_URL": self.url,
            "DISTILL_PORT": str(port),
            "DISTILL_BOOTSTRAP_KEY": KEY,
        }

    def set_up(self) -> None:
        """Migrate the database and create the key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "core.store.commands.setup"],
            env=environment(**self.settings(0)),
            check=True,
        )

    @contextmanager
    def api(self, port: int | None = None) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
        """One API process: its URL and its handle."""
        port = port or free_port()
        url = f"http://127.0.0.1:{port}"
        with process("-m", "api", log=self.folder / "api.log", **self.settings(port)) as running:
            wait_ready(url)
            yield url, running
