"""An installation whose API runs as a real process, and a second client that shares it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Engine, select

from core.settings import Settings
from core.store.access import keys
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, AuditRow, ProjectRow
from core.store.objects.store import Objects
from tests.api.conftest import KEY, STRANGER, STRANGERS_KEY, Service
from tests.intruders.problems import CANARY
from tests.measurements import RecordProperty
from tests.servers import wait_until


@dataclass
class Installation:
    """A service on SQLite and an object store in a folder.

    Its data are in ``folder/home``; the file ``canary`` lies beside them.
    """

    folder: Path
    settings: Settings
    engine: Engine
    service: Service
    canary: Path

    @property
    def client(self) -> httpx2.Client:
        return self.service.client

    @property
    def objects(self) -> Objects:
        return Objects.from_settings(self.settings)

    @property
    def log(self) -> str:
        """Return what the API process has logged so far."""
        assert self.service.log is not None
        return self.service.log.read_text(errors="replace")

    def audit_entries(self, **columns: Any) -> list[AuditRow]:
        """Return the entries of the audit log with these values, oldest first."""
        with read_session(self.engine) as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.at, AuditRow.id)).all()
        return [
            row
            for row in rows
            if all(getattr(row, name) == value for name, value in columns.items())
        ]

    def wait_for_audit_entry(self, **columns: Any) -> None:
        """Wait for an entry with these values: a refusal is recorded after its response."""
        wait_until(
            lambda: bool(self.audit_entries(**columns)),
            what=f"an entry of the audit log with {columns}",
        )


@contextmanager
def start_installation(
    database_template: Path, folder: Path, **settings: Any
) -> Iterator[Installation]:
    """Run an installation in the folder, with keys for two projects."""
    home = folder / "home"
    home.mkdir(parents=True)
    database = home / "distill.db"
    database.write_bytes(database_template.read_bytes())
    canary = folder / "canary.txt"
    canary.write_text(CANARY)
    settings = {"home": str(home), "database_url": f"sqlite:///{database}", **settings}
    engine = make_engine(settings["database_url"])
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    with write_session(engine) as session:
        session.add(ProjectRow(id=STRANGER, name="stranger"))
    keys.ensure(engine, STRANGER, "stranger", ("read", "submit", "admin"), STRANGERS_KEY)
    environment = {name: str(value) for name, value in settings.items()}
    service = Service(environment, log=folder / "api.log")
    try:
        yield Installation(folder, Settings(**settings), engine, service, canary)
    finally:
        service.close()
        engine.dispose()


@contextmanager
def run_bystander(installation: Installation, record_property: RecordProperty) -> Iterator[None]:
    """List jobs from another client throughout the block.

    Every response must be a 200. Their latencies are recorded, not judged.
    """
    latencies: list[float] = []
    stop = threading.Event()

    def poll_jobs() -> None:
        with httpx2.Client(
            base_url=installation.service.url,
            headers=dict(installation.client.headers),
            timeout=60,
        ) as client:
            while not stop.wait(0.02):
                start = time.perf_counter()
                response = client.get("/v1/jobs?limit=5")
                assert response.status_code == 200
                latencies.append(time.perf_counter() - start)

    thread = threading.Thread(target=poll_jobs)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert latencies
    latencies.sort()
    count = len(latencies)
    record_property("bystander_requests", count)
    record_property("bystander_p50_ms", round(1000 * latencies[count // 2]))
    record_property("bystander_p99_ms", round(1000 * latencies[min(count - 1, int(count * 0.99))]))
