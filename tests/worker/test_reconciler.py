"""What a reconciler does besides taking back jobs, which the tests of faults cover."""

import threading
from pathlib import Path

from sqlalchemy import Engine

from core.jobspec.status import PROTOCOL
from core.settings import Settings
from core.store import project_events, workers
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects.store import Objects
from worker.reconciler import Reconciler
from worker.supervisor import Supervisor


def test_a_reconciler_tells_of_lost_workers(engine: Engine, tmp_path: Path) -> None:
    """Each time that one is lost, and once."""
    with write_session(engine) as session:
        workers.register(session, "w", version="1", protocol=PROTOCOL, slots=1, lease_seconds=-1)
    settings = Settings(home=tmp_path)
    objects = Objects.from_settings(settings)
    reconciler = Reconciler(settings, Supervisor(settings, engine, objects, threading.Event()))
    reconciler.run()
    reconciler.run()
    project_events.assign_numbers(engine, wait=True)
    with read_session(engine) as session:
        rows = project_events.list_after(session, [DEFAULT_PROJECT], 0, limit=10)
    assert [(row.change, row.data["status"]) for row in rows] == [
        ("created", "ready"),
        ("status", "lost"),
    ]
