"""The service in this process for most tests, as a process of its own where memory, streams or signals matter."""

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
from core.store import keys
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT, ProjectRow
from tests.servers import free_port, wait_until

KEY = "dk_everything"
STRANGER = "prj_stranger"
STRANGERS_KEY = "dk_stranger"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def make_key(engine: Engine, *scopes: str, project_id: str = DEFAULT_PROJECT) -> dict[str, str]:
    """Headers of a new key."""
    with write_session(engine) as session:
        return bearer(keys.create(session, project_id, "test", scopes)[1])


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    """One machine without servers. A test that needs others makes its own."""
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
        """``log``: a file for what it says; without one it is this process's own output."""
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
        wait_until(self._answers, what="an answer of the service")

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the service ended at once"
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx2.TransportError:
            return False

    def memory(self) -> int:
        """Resident, in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def terminate(self) -> float:
        """Seconds from SIGTERM to its end."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - began

    def close(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def start_service(settings: Settings, engine: Engine) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(command: list[str] | None = None, **changes: Any) -> Service:
        base = {"home": str(settings.home), "database_url": settings.resolved_database_url}
        started.append(
            Service({**base, **{name: str(value) for name, value in changes.items()}}, command)
        )
        return started[-1]

    yield start
    for service in started:
        service.close()


@pytest.fixture
def service(start_service: Callable[..., Service]) -> Service:
    return start_service()
