"""What workers say of themselves, what they may claim, and why a job waits for one that is not there."""

import pytest
from sqlalchemy import Engine

from core.errors import NotFound
from core.jobspec.status import PROTOCOL
from core.store import attempts, jobs, workers
from core.store.database.clock import database_now
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow, WorkerRow
from tests.builders import create_job, create_attempt

DAY_MS = 24 * 3600_000


def register(
    engine: Engine, name: str, *, protocol: int = PROTOCOL, lease_seconds: float = 30
) -> None:
    with write_session(engine) as session:
        workers.register(
            session, name, version="1.2", protocol=protocol, slots=2, lease_seconds=lease_seconds
        )


def beat(
    engine: Engine, name: str, *, leaving: bool = False, trouble: str | None = None
) -> bool | None:
    with write_session(engine) as session:
        return workers.record_heartbeat(session, name, lease_seconds=30, shutting_down=leaving, trouble=trouble)


def drain(engine: Engine, name: str, draining: bool = True) -> None:
    with write_session(engine) as session:
        workers.drain(session, name, draining)


def listed(engine: Engine) -> dict[str, tuple[bool, int]]:
    with read_session(engine) as session:
        return {seen.row.name: (seen.alive, seen.running) for seen in workers.list_workers(session)}


def change(engine: Engine, job: JobRow, **values: int) -> None:
    with write_session(engine) as session:
        row = jobs.get(session, DEFAULT_PROJECT, job.id)
        for name, value in values.items():
            setattr(row, name, value)


def obstacle(engine: Engine, job: JobRow) -> str | None:
    with read_session(engine) as session:
        return workers.explain_waiting(session, jobs.get(session, DEFAULT_PROJECT, job.id))


def test_a_worker_is_alive_as_long_as_its_lease_runs_and_is_listed_for_a_day(
    engine: Engine,
) -> None:
    register(engine, "here")
    register(engine, "lost", lease_seconds=-1)
    create_attempt(engine, worker="here")
    assert listed(engine) == {"here": (True, 1), "lost": (False, 0)}
    assert (beat(engine, "lost"), beat(engine, "never registered")) == (False, None)
    assert listed(engine)["lost"] == (True, 0)
    with write_session(engine) as session:
        workers.drain(session, "lost").row.seen_at = database_now() - DAY_MS - 1
        session.flush()
        workers.delete_lost(session)
    assert listed(engine).keys() == {"here"}
    with write_session(engine) as session:
        workers.remove(session, "here")
    assert listed(engine) == {}


def test_a_draining_worker_claims_nothing_from_that_moment_on_and_hears_of_it(
    engine: Engine,
) -> None:
    job = create_job(engine)
    register(engine, "one")
    drain(engine, "one")
    assert attempts.claim(engine, job.id, "one", 30) is None
    assert beat(engine, "one") is True
    assert (
        obstacle(engine, job)
        == "No worker that could take it claims any at present: each is draining or in trouble."
    )
    drain(engine, "one", False)
    assert beat(engine, "one") is False
    assert attempts.claim(engine, job.id, "one", 30) is not None
    with pytest.raises(NotFound, match="no worker 'two'"):
        drain(engine, "two")


def test_a_worker_that_leaves_drains_whatever_the_table_says_and_a_new_process_of_its_name_does_not(
    engine: Engine,
) -> None:
    register(engine, "one")
    assert beat(engine, "one", leaving=True) is True
    drain(engine, "one", False)
    assert beat(engine, "one", leaving=True) is True
    register(engine, "one")
    assert beat(engine, "one") is False


def test_a_job_of_a_newer_protocol_is_left_alone_and_says_which_worker_it_waits_for(
    engine: Engine,
) -> None:
    newer, own, older = (create_job(engine) for _ in range(3))
    change(engine, newer, protocol=PROTOCOL + 1)
    change(engine, older, protocol=PROTOCOL - 1)
    with read_session(engine) as session:
        assert attempts.list_claimable(session) == [own.id, older.id]
    assert attempts.claim(engine, newer.id, "worker", 30) is None
    assert obstacle(engine, newer) == "No worker is alive."
    register(engine, "dead", protocol=PROTOCOL + 1, lease_seconds=-1)
    register(engine, "one")
    register(engine, "old", protocol=PROTOCOL - 1)
    theirs = f"{PROTOCOL - 1}, {PROTOCOL}"
    assert (
        obstacle(engine, newer)
        == f"It waits for a worker of protocol {PROTOCOL + 1}; those that are alive have {theirs}."
    )
    assert obstacle(engine, own) is None
    register(engine, "new", protocol=PROTOCOL + 1)
    assert obstacle(engine, newer) is None
    assert attempts.claim(engine, own.id, "one", 30) is not None
    assert attempts.claim(engine, older.id, "one", 30) is not None


def test_a_worker_in_trouble_is_listed_and_no_job_counts_on_it(engine: Engine) -> None:
    job = create_job(engine)
    register(engine, "one")
    beat(engine, "one", trouble="This database has another schema.")
    with read_session(engine) as session:
        assert session.get_one(WorkerRow, "one").trouble == "This database has another schema."
    assert str(obstacle(engine, job)).startswith("No worker that could take it")
    beat(engine, "one")
    assert obstacle(engine, job) is None
