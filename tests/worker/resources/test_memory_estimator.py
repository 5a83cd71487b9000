"""A worker answers what the API has asked for, in a process of its own."""

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from core.jobspec.cost.memory import training_request
from core.jobspec.data import DIGITS
from core.settings import Settings
from core.store.database.engine import read_session, write_session
from core.store.database.tables import MemoryEstimateRow
from core.store.estimates import memory_estimates
from tests.builders import training_spec
from worker.registration import Registration
from worker.resources.memory_estimator import MemoryEstimator


@pytest.fixture
def estimator(engine: Engine, tmp_path: Path) -> MemoryEstimator:
    settings = Settings(home=tmp_path)
    registration = Registration(settings, engine)
    return MemoryEstimator(settings, engine, registration, threading.Event())


def ask(engine: Engine, **changes: Any) -> str:
    request = training_request(training_spec(**changes), DIGITS, None)
    memory_estimates.enqueue(engine, {request.key(): request.model_dump(mode="json")})
    return request.key()


def find(engine: Engine, key: str) -> MemoryEstimateRow:
    with read_session(engine) as session:
        return memory_estimates.find(session, [key])[key]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_request_is_answered_by_a_process(engine: Engine, estimator: MemoryEstimator) -> None:
    key = ask(engine)
    assert estimator.run()
    row = find(engine, key)
    assert (row.status, row.problem) == ("known", None)
    assert row.bytes is not None
    assert row.bytes == sum((row.parts or {}).values())
    assert not estimator.run()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_blocked_worker_answers_nothing(engine: Engine, estimator: MemoryEstimator) -> None:
    key = ask(engine)
    estimator.registration.blocked_reason = "it is draining"
    assert not estimator.run()
    assert (find(engine, key).status, find(engine, key).tries) == ("pending", 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_request_of_another_release_is_left(engine: Engine, estimator: MemoryEstimator) -> None:
    key = ask(engine)
    with write_session(engine) as session:
        session.execute(update(MemoryEstimateRow).values(request={"spec": {"kind": "telepathy"}}))
    assert estimator.run()
    assert find(engine, key).status == "pending"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_failing_process_makes_it_unavailable(
    engine: Engine, estimator: MemoryEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    key = ask(engine)
    assert estimator.run()
    assert find(engine, key).status == "unavailable"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_shutdown_ends_the_process(
    engine: Engine, estimator: MemoryEstimator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request stays pending, and another worker gets it when the lease is over."""
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(sleeper))
    key = ask(engine)
    estimator.shutdown.set()
    assert estimator.run()
    assert (find(engine, key).status, find(engine, key).tries) == ("pending", 1)
