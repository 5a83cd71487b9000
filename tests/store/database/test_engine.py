"""Transactions that lose nothing, and databases that are down."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from core.errors import Invalid, Unavailable
from core.store.database.engine import database_now, make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, JobRow, ProjectRow
from tests.builders import create_job
from tests.servers import Postgres, free_port


def test_database_now_is_in_milliseconds(engine: Engine) -> None:
    with read_session(engine) as session:
        now = session.scalar(select(database_now()))
    assert isinstance(now, int)
    assert abs(now - time.time() * 1000) < 2000


def test_rows_are_stored_and_readable_after_their_session(engine: Engine) -> None:
    with write_session(engine) as session:
        project = ProjectRow(id="prj_other", name="other")
        session.add(project)
    assert project.created_at > 0
    with read_session(engine) as session:
        assert session.get(ProjectRow, "prj_other") is not None


def test_an_error_rolls_back_the_transaction(engine: Engine) -> None:
    def fail() -> None:
        with write_session(engine) as session:
            session.add(ProjectRow(id="prj_other", name="other"))
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with read_session(engine) as session:
        assert session.get(ProjectRow, "prj_other") is None


def test_a_read_session_refuses_to_write(engine: Engine) -> None:
    with read_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
        with pytest.raises(RuntimeError, match="cannot write"):
            session.flush()
    for statement in (
        insert(ProjectRow).values(id="prj_other", name="other"),
        update(ProjectRow).values(name="other"),
    ):
        with pytest.raises(RuntimeError, match="cannot write"), read_session(engine) as session:
            session.execute(statement)
    with read_session(engine) as session:
        assert [(project.id, project.name) for project in session.scalars(select(ProjectRow))] == [
            (DEFAULT_PROJECT, "default")
        ]


def test_concurrent_sqlite_transactions_lose_no_update(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    job = create_job(engine)

    def increment(_: int) -> None:
        with write_session(engine) as session:
            attempt = session.scalars(select(JobRow.attempt).where(JobRow.id == job.id)).one()
            session.execute(update(JobRow).where(JobRow.id == job.id).values(attempt=attempt + 1))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(increment, range(300)))
    with read_session(engine) as session:
        assert session.scalar(select(JobRow.attempt)) == 300


def test_sqlite_readers_do_not_wait_for_a_writer(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    with write_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
        session.flush()
        start = time.monotonic()
        with read_session(engine) as other:
            assert other.get(ProjectRow, DEFAULT_PROJECT) is not None
        assert time.monotonic() - start < 1


def test_sqlite_enforces_foreign_keys(sqlite_url: str) -> None:
    with (
        pytest.raises(DBAPIError, match="FOREIGN KEY"),
        write_session(make_engine(sqlite_url)) as session,
    ):
        session.execute(text("INSERT INTO labels VALUES ('p', 'k', 'v', 'job_none', 1)"))


def test_a_wrong_statement_is_not_an_outage(engine: Engine) -> None:
    with pytest.raises(DBAPIError), read_session(engine) as session:
        session.execute(text("SELECT nothing FROM nowhere"))


def test_a_value_that_does_not_fit_is_invalid(postgres_url: str) -> None:
    with pytest.raises(Invalid), write_session(make_engine(postgres_url)) as session:
        session.add(ProjectRow(id="prj_other", name="a\0b"))


def test_a_missing_sqlite_folder_is_unavailable(tmp_path: Path) -> None:
    with (
        pytest.raises(Unavailable),
        read_session(make_engine(f"sqlite:///{tmp_path}/missing/folder.db")) as session,
    ):
        session.get(ProjectRow, DEFAULT_PROJECT)


def test_postgres_that_is_down_is_unavailable_soon() -> None:
    engine = make_engine(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres")
    for open_session in (read_session, write_session):
        start = time.monotonic()
        with pytest.raises(Unavailable), open_session(engine) as session:
            session.get(ProjectRow, DEFAULT_PROJECT)
        assert time.monotonic() - start < 3


def test_postgres_recovers_from_a_freeze_and_a_restart() -> None:
    server = Postgres()
    server.start()
    try:
        engine = make_engine(server.url("postgres"), timeout_seconds=1)
        with read_session(engine) as session:
            session.execute(text("SELECT 1"))
        server.freeze()
        for _ in range(2):  # first on a connection from the pool, then on a new one
            start = time.monotonic()
            with pytest.raises(Unavailable), read_session(engine) as session:
                session.execute(text("SELECT 1"))
            assert time.monotonic() - start < 4
        server.thaw()
        with read_session(engine) as session:
            assert session.scalar(text("SELECT 1")) == 1
        server.kill()
        with pytest.raises(Unavailable), read_session(engine) as session:
            session.execute(text("SELECT 1"))
        server.start()
        with read_session(engine) as session:
            assert session.scalar(text("SELECT 1")) == 1
    finally:
        server.close()


def test_a_connection_closed_while_unused_is_replaced(
    postgres_server: Postgres, postgres_url: str
) -> None:
    engine = make_engine(postgres_url)
    for _ in range(3):
        with read_session(engine) as session:
            assert session.scalar(text("SELECT 1")) == 1
        postgres_server.terminate_connections()


def test_a_connection_closed_in_use_is_unavailable(
    postgres_server: Postgres, postgres_url: str
) -> None:
    def use() -> None:
        with write_session(make_engine(postgres_url)) as session:
            session.scalar(text("SELECT 1"))
            postgres_server.terminate_connections()
            session.scalar(text("SELECT 1"))

    with pytest.raises(Unavailable):
        use()


def test_a_slow_statement_is_ended(postgres_url: str) -> None:
    engine = make_engine(postgres_url, timeout_seconds=0.3)
    start = time.monotonic()
    with pytest.raises(Unavailable), read_session(engine) as session:
        session.execute(text("SELECT pg_sleep(5)"))
    assert time.monotonic() - start < 2


def test_too_many_connections_are_unavailable(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with ExitStack() as sessions:
        for _ in range(40):
            sessions.enter_context(read_session(engine)).execute(text("SELECT 1"))
        with pytest.raises(Unavailable, match="Too many"), read_session(engine) as session:
            session.execute(text("SELECT 1"))
    engine.dispose()
