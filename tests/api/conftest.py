"""The service in this process for most tests; in a process of its own for memory and signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.settings import Settings
from core.store.access import keys
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT, ProjectRow
from tests.servers import free_port, wait_until

KEY = "dk_everything"
STRANGER = "prj_stranger"
STRANGERS_KEY = "dk_stranger"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def make_key(engine: Engine, *scopes: str, project_id: str = DEFAULT_PROJECT) -> dict[str, str]:
    """Create an API key and return the headers that authenticate with it."""
    with write_session(engine) as session:
        return bearer(keys.create(session, project_id, "test", scopes)[1])


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    """Settings of one machine without servers."""
    return Settings(home=tmp_path / "home", database_url=sqlite_url)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings.resolved_database_url)
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    with write_session(engine) as session:
        session.add(ProjectRow(id=STRANGER, name="stranger"))
    keys.ensure(engine, STRANGER, "stranger", ("read", "submit", "admin"), STRANGERS_KEY)
    yield engine
    engine.dispose()


@pytest.fixture
def client(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(settings), headers=bearer(KEY), follow_redirects=False) as client:
        yield client


@pytest.fixture
def anonymous(client: TestClient) -> TestClient:
    """The same service for a caller without a key."""
    return TestClient(client.app, follow_redirects=False)


class Service:
    """``python -m api`` in a process of its own."""

    def __init__(
        self, settings: dict[str, str], command: list[str] | None = None, log: Path | None = None
    ) -> None:
        """``log``: a file for its output, which otherwise goes to that of this process."""
        self.log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {
            **os.environ,
            **{f"DISTILL_{name.upper()}": value for name, value in settings.items()},
        }
        environment["DISTILL_PORT"] = str(self.port)
        arguments = [part.format(port=self.port) for part in command or ["-m", "api"]]
        with log.open("ab") if log is not None else nullcontext() as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], env=environment, stdout=output, stderr=output
            )
        self.client = httpx2.Client(base_url=self.url, headers=bearer(KEY), timeout=20)
        wait_until(self._is_ready, 60.0, "a response of the service")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "the service ended at once"
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx2.TransportError:
            return False

    def memory(self) -> int:
        """Return the resident memory of the process, in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def terminate(self) -> float:
        """Send SIGTERM and return the seconds until the process has ended."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - start

    def close(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def start_service(settings: Settings, engine: Engine) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(command: list[str] | None = None, **changes: Any) -> Service:
        environment = {"home": str(settings.home), "database_url": settings.resolved_database_url}
        environment |= {name: str(value) for name, value in changes.items()}
        started.append(Service(environment, command))
        return started[-1]

    yield start
    for service in started:
        service.close()


@pytest.fixture
def service(start_service: Callable[..., Service]) -> Service:
    return start_service()
