"""Connections, transactions and migrations, for SQLite and Postgres alike.

All access goes through ``read_session`` or ``write_session``. Both raise ``Unavailable`` where the
database is down, full or overloaded.
"""

import fcntl
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import POLLIN, poll
from typing import Any, TypeVar

import psycopg
from alembic import command
from pydantic_core import from_json
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import ORMExecuteState, Session

from core.errors import Invalid, Unavailable
from core.store.database import schema
from core.store.database.clock import database_now

__all__ = [
    "database_now",
    "make_engine",
    "migrate",
    "read_session",
    "require_schema",
    "write_session",
]

SQLITE_BUSY_SECONDS = 30.0
CONNECT_SHARE = 0.8
"""Of the timeout, for a new connection."""
PING_SHARE = 0.4
"""Of the timeout, for testing a pooled connection.

A failed test and then a failed connect take as long together as a statement without an answer.
"""
STATEMENT_SHARE = 1.2
"""Of the timeout, for a statement: Postgres itself gives up after 1.0."""
RECENT_RESPONSE_SECONDS = 1.0
"""A pooled connection whose server has responded so recently is not tested before it is used."""
DEFAULT_CONNECT_SECONDS = 10.0
"""For an engine without a timeout."""
AnySession = TypeVar("AnySession", bound=Session)
_MIGRATION_LOCK = 0x646973_74696C6C


def make_engine(url: str, *, timeout_seconds: float = 5.0) -> Engine:
    """Make an engine for ``sqlite:///path`` or ``postgresql://…`` (psycopg 3).

    Postgres ends a statement after ``timeout_seconds``, and a caller waits at most a fifth longer
    for a database that is down, frozen or cut off. A caller that is itself frozen or cut off inside
    a transaction does not block others either: Postgres ends the transaction after twice the
    timeout, and releases its locks.
    """
    return _make_engine(make_url(url), timeout_seconds=timeout_seconds)


@contextmanager
def read_session(engine: Engine) -> Iterator[Session]:
    """Open a session that reads and refuses to write. Rows stay readable after it is closed.

    On SQLite it sees one snapshot. On Postgres it is in autocommit, so each statement sees its own
    snapshot, and two round trips (BEGIN and ROLLBACK) are saved.

    Raises Unavailable where the database does not answer, and RuntimeError on a write.
    """
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    with _translated_errors(), _ReadSession(engine, expire_on_commit=False) as session:
        yield session


class _ReadSession(Session):
    """Refuses to write: in autocommit, a write would stay."""


@event.listens_for(_ReadSession, "before_flush")
def _refuse_to_flush(*_: object) -> None:
    raise RuntimeError("A read session cannot write.")


@event.listens_for(_ReadSession, "do_orm_execute")
def _refuse_to_write(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        raise RuntimeError("A read session cannot write.")


@contextmanager
def write_session(engine: Engine) -> Iterator[Session]:
    """Open a transaction that is committed at the end, and rolled back on any error.

    On SQLite it takes the write lock at once (BEGIN IMMEDIATE): a transaction that first reads and
    then writes may fail immediately, or lose an update.

    Raises Unavailable where the database does not answer; whether it committed is then unknown.
    """
    with transaction(engine, Session) as session:
        yield session


@contextmanager
def transaction(engine: Engine, session_class: type[AnySession]) -> Iterator[AnySession]:
    """Open a transaction as ``write_session`` does, in a session of another class."""
    immediate = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
    with (
        _translated_errors(),
        session_class(immediate, expire_on_commit=False) as session,
        session.begin(),
    ):
        yield session


def migrate(url: str) -> None:
    """Bring the database up to the newest schema; create the SQLite file and its folder if needed.

    Several processes may call this at once: one migrates, the others wait. Raises Unavailable where
    there is no database, and WrongSchema for a database that is newer than this program.
    """
    target = make_url(url)
    config = schema.configuration()
    engine = _make_engine(target, timeout_seconds=None, foreign_keys=False)
    try:
        with _translated_errors(), _folder_lock(target), engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            schema.refuse_newer(schema.current_revision(connection))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def require_schema(engine: Engine) -> None:
    """Raise WrongSchema where the database does not have this program's schema.

    Programs call this before they start. A database that does not answer yet passes: it is checked
    again by ``/readyz``, by each heartbeat, and in each claim.
    """
    try:
        with read_session(engine) as session:
            schema.require_current(session)
    except Unavailable:
        return


@contextmanager
def _folder_lock(url: URL) -> Iterator[None]:
    """Lock the folder of a SQLite file: SQLite's own locks do not cover the switch to WAL mode."""
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    folder = Path(url.database).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_engine(url: URL, *, timeout_seconds: float | None, foreign_keys: bool = True) -> Engine:
    match url.get_backend_name():
        case "sqlite":
            return _make_sqlite_engine(url, foreign_keys)
        case "postgresql":
            return _make_postgresql_engine(url, timeout_seconds)
        case other:
            raise ValueError(
                f"A database URL begins with sqlite:/// or postgresql://, not with {other}."
            )


def _make_sqlite_engine(url: URL, foreign_keys: bool) -> Engine:
    # Threads should wait for SQLite's single writer, never for a connection: hence the large pool.
    engine = create_engine(
        url,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
        pool_size=8,
        max_overflow=120,
        # Most of a list of jobs is JSON, and json.loads would take longer than the query.
        json_deserializer=from_json,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the driver sends no BEGIN: the listener below does
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine if foreign_keys else engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")


class _TimedConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server that does not respond.

    ``statement_timeout`` is of no use here, because a frozen server does not enforce it.
    """

    timeout_seconds: float | None = None
    timeout_share = STATEMENT_SHARE
    last_response_at = 0.0

    def is_known_alive(self) -> bool:
        """Return whether the server has responded recently and has sent nothing since.

        What a server sends unasked is, for example, that it is shutting down.
        """
        seconds_since_response = time.monotonic() - self.last_response_at
        if self.closed or seconds_since_response > RECENT_RESPONSE_SECONDS:
            return False
        poller = poll()
        poller.register(self.fileno(), POLLIN)
        return not poller.poll(0)

    @contextmanager
    def ping_timeout(self) -> Iterator[None]:
        """Use the shorter timeout of a ping meanwhile."""
        self.timeout_share = PING_SHARE
        try:
            yield
        finally:
            self.timeout_share = STATEMENT_SHARE

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> Any:
        # psycopg's own connect_timeout is in whole seconds, and never less than two.
        deadline = time.monotonic() + CONNECT_SHARE * (cls.timeout_seconds or math.inf)
        generator = super()._connect_gen(conninfo)
        event_mask = next(generator)
        while True:
            ready = yield event_mask  # 0 after each interval in which nothing has happened
            if not ready and time.monotonic() >= deadline:
                raise psycopg.errors.ConnectionTimeout("The server does not answer.")
            try:
                event_mask = generator.send(ready)
            except StopIteration as stop:
                return stop.value

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is None and self.timeout_seconds is not None:
            timeout = self.timeout_share * self.timeout_seconds
        start = time.monotonic()
        try:
            response = super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if timeout is not None and time.monotonic() - start >= timeout:
                self.close()
            raise
        self.last_response_at = time.monotonic()
        return response


def _make_postgresql_engine(url: URL, timeout_seconds: float | None) -> Engine:
    pool_timeout = DEFAULT_CONNECT_SECONDS
    if timeout_seconds is not None:
        pool_timeout = CONNECT_SHARE * timeout_seconds
    engine = create_engine(
        url,
        connect_args=_connect_arguments(timeout_seconds),
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=30,
        pool_timeout=pool_timeout,
        json_deserializer=from_json,
    )

    class TimedConnection(_TimedConnection):
        pass

    TimedConnection.timeout_seconds = timeout_seconds

    @event.listens_for(engine, "do_connect")
    def connect(
        dialect: Any, record: Any, cargs: list[Any], cparams: dict[str, Any]
    ) -> psycopg.Connection[Any]:
        return TimedConnection.connect(*cargs, **cparams)

    _ping_only_when_needed(engine)
    return engine


def _connect_arguments(timeout_seconds: float | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "connect_timeout": round(DEFAULT_CONNECT_SECONDS),
        "application_name": "distill",
    }
    if timeout_seconds is not None:
        limits = {
            "statement_timeout": timeout_seconds,
            "idle_in_transaction_session_timeout": 2 * timeout_seconds,
        }
        arguments["options"] = " ".join(
            f"-c {name}={round(1000 * seconds)}" for name, seconds in limits.items()
        )
    return arguments


def _ping_only_when_needed(engine: Engine) -> None:
    """Skip the pool's test of a connection whose server has responded just now."""
    ping = engine.dialect.do_ping

    def ping_unless_alive(connection: Any) -> bool:
        if connection.is_known_alive():
            return True
        with connection.ping_timeout():
            return ping(connection)

    engine.dialect.do_ping = ping_unless_alive  # type: ignore[method-assign,assignment]


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(
            "Too many requests are waiting for the database; try again in a moment."
        ) from error
    except (OperationalError, InterfaceError) as error:
        sqlite_code = getattr(error.orig, "sqlite_errorcode", None)
        is_sqlite_operational = isinstance(error.orig, sqlite3.OperationalError)
        if is_sqlite_operational and sqlite_code == sqlite3.SQLITE_ERROR:
            raise  # a mistake in a statement, not an outage
        if isinstance(error.orig, psycopg.errors.DiskFull) or sqlite_code == sqlite3.SQLITE_FULL:
            raise Unavailable("The disk of the database is full.", code="storage_full") from error
        raise Unavailable("The database does not answer; try again in a moment.") from error
    except DataError as error:
        raise Invalid(
            "A value does not fit into the database: "
            "it is a text with a NUL character, or a number out of range."
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(
                "The connection to the database was lost; try again in a moment."
            ) from error
        raise
