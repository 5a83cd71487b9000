"""Registered workers: their heartbeats, what they may claim, and why a job waits for one."""

import pytest
from sqlalchemy import Engine

from core.errors import NotFound
from core.jobspec.status import PROTOCOL
from core.store import attempts, jobs, workers
from core.store.database.clock import database_now
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow, WorkerRow
from tests.builders import claim_job, create_attempt, create_job

DAY_MS = 24 * 3600_000


def register(
    engine: Engine, name: str, *, protocol: int = PROTOCOL, lease_seconds: float = 30
) -> None:
    with write_session(engine) as session:
        workers.register(
            session, name, version="1.2", protocol=protocol, slots=2, lease_seconds=lease_seconds
        )


def record_heartbeat(
    engine: Engine, name: str, *, shutting_down: bool = False, trouble: str | None = None
) -> bool | None:
    with write_session(engine) as session:
        return workers.record_heartbeat(
            session, name, lease_seconds=30, shutting_down=shutting_down, schema_error=trouble
        )


def drain(engine: Engine, name: str, draining: bool = True) -> None:
    with write_session(engine) as session:
        workers.set_draining(session, name, draining)


def list_states(engine: Engine) -> dict[str, tuple[bool, int]]:
    """Return by name whether a worker is alive and how many jobs it runs."""
    with read_session(engine) as session:
        states = workers.list_workers(session)
    return {state.row.name: (state.alive, state.running) for state in states}


def set_columns(engine: Engine, job: JobRow, **values: int) -> None:
    with write_session(engine) as session:
        row = jobs.get(session, DEFAULT_PROJECT, job.id)
        for name, value in values.items():
            setattr(row, name, value)


def explain_waiting(engine: Engine, job: JobRow) -> str | None:
    with read_session(engine) as session:
        return workers.explain_waiting(session, jobs.get(session, DEFAULT_PROJECT, job.id))


def test_a_lost_worker_stays_listed_for_a_day(engine: Engine) -> None:
    """A worker is alive until its lease expires."""
    register(engine, "here")
    register(engine, "lost", lease_seconds=-1)
    create_attempt(engine, worker="here")
    assert list_states(engine) == {"here": (True, 1), "lost": (False, 0)}
    assert record_heartbeat(engine, "lost") is False
    assert record_heartbeat(engine, "never registered") is None
    assert list_states(engine)["lost"] == (True, 0)
    with write_session(engine) as session:
        workers.set_draining(session, "lost").row.seen_at = database_now() - DAY_MS - 1
        session.flush()
        workers.delete_lost(session)
    assert list_states(engine).keys() == {"here"}
    with write_session(engine) as session:
        workers.remove(session, "here")
    assert list_states(engine) == {}


def test_a_draining_worker_claims_nothing(engine: Engine) -> None:
    """Its heartbeat returns that it is to drain."""
    job = create_job(engine)
    register(engine, "one")
    drain(engine, "one")
    assert attempts.claim(engine, "one", 30) is None
    assert record_heartbeat(engine, "one") is True
    assert (
        explain_waiting(engine, job)
        == "No worker that could take it claims any at present: each is draining or in trouble."
    )
    drain(engine, "one", False)
    assert record_heartbeat(engine, "one") is False
    assert attempts.claim(engine, "one", 30) is not None
    with pytest.raises(NotFound, match="no worker 'two'"):
        drain(engine, "two")


def test_a_worker_that_shuts_down_drains(engine: Engine) -> None:
    """It drains whatever its row says; a new process of the same name does not."""
    register(engine, "one")
    assert record_heartbeat(engine, "one", shutting_down=True) is True
    drain(engine, "one", False)
    assert record_heartbeat(engine, "one", shutting_down=True) is True
    register(engine, "one")
    assert record_heartbeat(engine, "one") is False


def test_a_job_of_a_newer_protocol_waits_for_a_newer_worker(engine: Engine) -> None:
    newer, own, older = (create_job(engine) for _ in range(3))
    set_columns(engine, newer, protocol=PROTOCOL + 1)
    set_columns(engine, older, protocol=PROTOCOL - 1)
    with read_session(engine) as session:
        assert attempts.list_claimable(session) == [own.id, older.id]
    assert claim_job(engine, newer.id, "worker") is None
    assert explain_waiting(engine, newer) == "No worker is alive."
    register(engine, "dead", protocol=PROTOCOL + 1, lease_seconds=-1)
    register(engine, "one")
    register(engine, "old", protocol=PROTOCOL - 1)
    protocols = f"{PROTOCOL - 1}, {PROTOCOL}"
    assert (
        explain_waiting(engine, newer) == f"It waits for a worker of protocol {PROTOCOL + 1}; "
        f"those that are alive have {protocols}."
    )
    assert explain_waiting(engine, own) is None
    register(engine, "new", protocol=PROTOCOL + 1)
    assert explain_waiting(engine, newer) is None
    assert claim_job(engine, own.id, "one") is not None
    assert claim_job(engine, older.id, "one") is not None


def test_a_worker_in_trouble_claims_no_jobs(engine: Engine) -> None:
    job = create_job(engine)
    register(engine, "one")
    record_heartbeat(engine, "one", trouble="This database has another schema.")
    with read_session(engine) as session:
        assert session.get_one(WorkerRow, "one").trouble == "This database has another schema."
    assert str(explain_waiting(engine, job)).startswith("No worker that could take it")
    record_heartbeat(engine, "one")
    assert explain_waiting(engine, job) is None
