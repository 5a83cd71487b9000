"""The lease is kept and requests are heard whatever else takes long."""

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
def working(settings: Settings, engine: Engine) -> Iterator[threading.Event]:
    """A supervisor at work on the job, beside a sweeper that takes every job whose lease has run out. Yields its shutdown."""
    shutdown, over = threading.Event(), threading.Event()
    supervisor = Supervisor(settings, engine, Objects.from_settings(settings), shutdown)

    def sweep() -> None:
        while not over.wait(0.1):
            attempts.reclaim_expired(engine, RetryPolicy(backoff_seconds=60))

    threads = [threading.Thread(target=supervisor.run), threading.Thread(target=sweep)]
    for thread in threads:
        thread.start()
    try:
        yield shutdown
        threads[0].join(60)
        assert not threads[0].is_alive()
    finally:
        shutdown.set()
        over.set()
        for thread in threads:
            thread.join(60)


def test_a_lease_is_kept_while_a_file_takes_longer_than_it_to_upload(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, slow = Objects.put_file, []

    def slowly(self: Objects, key: str, path: Path, check: Callable[[], None]) -> tuple[int, str]:
        if "best" in key:
            slow.append(key)
            time.sleep(2 * LEASE_SECONDS)
        return put(self, key, path, check)

    monkeypatch.setattr(Objects, "put_file", slowly)
    job_id = submit(engine, training_spec())
    with working(settings, engine):
        job = wait_for_end(engine, job_id)
    assert slow
    assert (job.status, job.attempt) == ("succeeded", 1)


def test_a_job_is_cancelled_while_its_inputs_are_fetched(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forever(monkeypatch)
    job_id = submit(engine, training_spec())
    with working(settings, engine):
        wait_for(lambda: get_job(engine, job_id).status == "running", 20, "a claim")
        with write_session(engine) as session:
            jobs.apply_action(session, DEFAULT_PROJECT, job_id, "cancel")
        assert wait_for_end(engine, job_id, 20).status == "cancelled"


def test_a_worker_that_is_shut_down_while_it_fetches_inputs_gives_the_job_back(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forever(monkeypatch)
    job_id = submit(engine, training_spec())
    with working(settings, engine) as shutdown:
        wait_for(lambda: get_job(engine, job_id).status == "running", 20, "a claim")
        shutdown.set()
    job = get_job(engine, job_id)
    assert (job.status, job.infrastructure_failures) == ("queued", 0)


def forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs that never arrive."""

    def lay_out(self: Inputs) -> None:
        while True:
            self.check()
            time.sleep(0.02)

    monkeypatch.setattr(Inputs, "lay_out", lay_out)
