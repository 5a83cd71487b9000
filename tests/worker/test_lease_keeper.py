"""The lease is renewed and requests are noticed, whatever else takes long."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.settings import Settings
from core.store import attempts, jobs
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.lifecycle.retry_policy import RetryPolicy
from core.store.objects.store import Objects
from tests.builders import training_spec
from tests.worker.service import get_job, submit, wait_for, wait_for_end
from worker.inputs import Inputs
from worker.supervisor import Supervisor

LEASE_SECONDS = 2.0


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    seconds: dict[str, Any] = {
        "lease_seconds": LEASE_SECONDS,
        "heartbeat_seconds": 0.3,
        "grace_seconds": 4,
    }
    return Settings(home=tmp_path / "home", database_url=sqlite_url, threads=1, **seconds)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings.resolved_database_url)
    yield engine
    engine.dispose()


@contextmanager
def running_supervisor(settings: Settings, engine: Engine) -> Iterator[threading.Event]:
    """Run a supervisor on the job, and beside it a reconciler that reclaims expired leases.

    Yields the supervisor's shutdown event; the context ends with the attempt.
    """
    shutdown = threading.Event()
    stop = threading.Event()
    supervisor = Supervisor(settings, engine, Objects.from_settings(settings), shutdown)

    def reclaim() -> None:
        while not stop.wait(0.1):
            attempts.reclaim_expired(engine, RetryPolicy(backoff_seconds=60))

    attempt = threading.Thread(target=supervisor.run)
    reconciler = threading.Thread(target=reclaim)
    attempt.start()
    reconciler.start()
    try:
        yield shutdown
        attempt.join(60)
        assert not attempt.is_alive()
    finally:
        shutdown.set()
        stop.set()
        attempt.join(60)
        reconciler.join(60)


def test_an_upload_may_take_longer_than_the_lease(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_file = Objects.put_file
    slow_keys = []

    def put_file_slowly(
        self: Objects, key: str, path: Path, check: Callable[[], None]
    ) -> tuple[int, str]:
        if "best" in key:
            slow_keys.append(key)
            time.sleep(2 * LEASE_SECONDS)
        return put_file(self, key, path, check)

    monkeypatch.setattr(Objects, "put_file", put_file_slowly)
    job_id = submit(engine, training_spec())
    with running_supervisor(settings, engine):
        job = wait_for_end(engine, job_id)
    assert slow_keys
    assert (job.status, job.attempt) == ("succeeded", 1)


def test_a_job_can_be_cancelled_while_its_inputs_are_fetched(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    block_inputs(monkeypatch)
    job_id = submit(engine, training_spec())
    with running_supervisor(settings, engine):
        wait_for(lambda: get_job(engine, job_id).status == "running", 20, "a claim")
        with write_session(engine) as session:
            jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")
        assert wait_for_end(engine, job_id, 20).status == "cancelled"


def test_a_shutdown_while_inputs_are_fetched_releases_the_job(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    block_inputs(monkeypatch)
    job_id = submit(engine, training_spec())
    with running_supervisor(settings, engine) as shutdown:
        wait_for(lambda: get_job(engine, job_id).status == "running", 20, "a claim")
        shutdown.set()
    job = get_job(engine, job_id)
    assert (job.status, job.infrastructure_failures) == ("queued", 0)


def block_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the preparation of inputs take forever."""

    def prepare(self: Inputs) -> None:
        while True:
            self.check()
            time.sleep(0.02)

    monkeypatch.setattr(Inputs, "prepare", prepare)
