"""Connections, transactions and migrations, alike on SQLite and Postgres.

Two ways in: ``reading`` and ``writing``. Both turn a database that is down, full or overloaded into ``Unavailable``.
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

__all__ = ["database_now", "make_engine", "migrate", "read_session", "require_schema", "write_session"]

SQLITE_BUSY_SECONDS = 30.0
CONNECT_SHARE, PING_SHARE, SILENCE_SHARE = 0.8, 0.4, 1.2
"""Of the patience. A pooled connection found silent and then a new one that is not made take as long as a silent statement."""
TRUSTED_SECONDS = 1.0
"""A connection whose server was heard of so lately need not be asked whether it is there."""
UNHURRIED_SECONDS = 10.0
AnySession = TypeVar("AnySession", bound=Session)
_MIGRATION_LOCK = 0x646973_74696C6C


def make_engine(url: str, *, timeout_seconds: float = 5.0) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://…`` (psycopg 3).

    ``patience_seconds``: Postgres gives up a statement after so long, and whatever else happens, a caller waits a fifth
    longer at most: a database that is down, frozen or cut off never hangs anybody. Nor does a caller that is frozen or
    cut off inside a transaction hang others: after twice as long Postgres ends it, and its locks are free.
    """
    return _engine(make_url(url), timeout_seconds=timeout_seconds)


@contextmanager
def read_session(engine: Engine) -> Iterator[Session]:
    """One consistent look at the database. On Postgres each statement is a look of its own, in autocommit: BEGIN and ROLLBACK
    would be two more ways there and back, and change nothing.

    Raises Unavailable where the database does not answer, and RuntimeError when it is to write. Rows stay readable afterwards.
    """
    plain = (
        engine.execution_options(isolation_level="AUTOCOMMIT")
        if engine.dialect.name == "postgresql"
        else engine
    )
    with _translated_errors(), _ReadSession(plain, expire_on_commit=False) as session:
        yield session


class _ReadSession(Session):
    """In autocommit whatever it wrote would stay."""


@event.listens_for(_ReadSession, "before_flush")
def _refuse_to_flush(*_: object) -> None:
    raise RuntimeError("Reading writes nothing.")


@event.listens_for(_ReadSession, "do_orm_execute")
def _refuse_to_write(asked: ORMExecuteState) -> None:
    if asked.is_insert or asked.is_update or asked.is_delete:
        raise RuntimeError("Reading writes nothing.")


@contextmanager
def write_session(engine: Engine) -> Iterator[Session]:
    """One transaction, committed at the end and rolled back on any error. On SQLite it waits for its turn FIRST
    (BEGIN IMMEDIATE): a transaction that reads and then asks to write may be refused at once, or lose an update.

    Raises Unavailable where the database does not answer; whether the commit happened is then unknown.
    """
    with transaction(engine, Session) as session:
        yield session


@contextmanager
def transaction(engine: Engine, session_class: type[AnySession]) -> Iterator[AnySession]:
    """As ``writing``, in a session of another kind."""
    immediate = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
    with _translated_errors(), session_class(immediate, expire_on_commit=False) as session, session.begin():
        yield session


def migrate(url: str) -> None:
    """Bring the database up to the newest schema. Several processes may do so at once: one works, the others wait.

    Makes the SQLite file and its folder. Raises Unavailable where there is no database to migrate, and WrongSchema for one
    that is newer than this program.
    """
    target, config = make_url(url), schema.configuration()
    engine = _engine(target, timeout_seconds=None, foreign_keys=False)
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
    """Asked before a program begins its work. Raises WrongSchema where the database's is not its own.

    A database that does not answer yet is asked again later: by ``/readyz``, by each heartbeat and in each claim.
    """
    try:
        with read_session(engine) as session:
            schema.require_current(session)
    except Unavailable:
        return


@contextmanager
def _folder_lock(url: URL) -> Iterator[None]:
    """SQLite's own locks do not cover the change to WAL; a lock on the folder does, and leaves no file behind."""
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


def _engine(url: URL, *, timeout_seconds: float | None, foreign_keys: bool = True) -> Engine:
    match url.get_backend_name():
        case "sqlite":
            return _sqlite(url, foreign_keys)
        case "postgresql":
            return _postgresql(url, timeout_seconds)
        case other:
            raise ValueError(
                f"A database URL begins with sqlite:/// or postgresql://, not with {other}."
            )


def _sqlite(url: URL, foreign_keys: bool) -> Engine:
    # Threads wait for SQLite's one writer, not for a connection: the pool must never be the narrower door.
    engine = create_engine(
        url,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
        pool_size=8,
        max_overflow=120,
        json_deserializer=from_json,  # a list of jobs is mostly JSON: json.loads takes longer than the query
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # no BEGIN but ours, below
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine if foreign_keys else engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")


class _ImpatientConnection(psycopg.Connection[Any]):
    """Gives up on a server that is connected but silent: statement_timeout is of no use when the server is frozen."""

    timeout_seconds: float | None = None
    silence_share = SILENCE_SHARE
    heard_at = 0.0

    def is_trusted(self) -> bool:
        """Its server was heard of just now, and has not said anything unasked since, such as that it ends."""
        if self.closed or time.monotonic() - self.heard_at > TRUSTED_SECONDS:
            return False
        unasked = poll()
        unasked.register(self.fileno(), POLLIN)
        return not unasked.poll(0)

    @contextmanager
    def hurried(self) -> Iterator[None]:
        self.silence_share = PING_SHARE
        try:
            yield
        finally:
            self.silence_share = SILENCE_SHARE

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> Any:
        # psycopg's own limit is in whole seconds, and never less than two.
        give_up_at = time.monotonic() + CONNECT_SHARE * (cls.timeout_seconds or math.inf)
        connecting = super()._connect_gen(conninfo)
        asked = next(connecting)
        while True:
            ready = yield asked  # nothing is ready: it is only time to look at the clock
            if not ready and time.monotonic() >= give_up_at:
                raise psycopg.errors.ConnectionTimeout("The server does not answer.")
            try:
                asked = connecting.send(ready)
            except StopIteration as done:
                return done.value

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        limit = timeout or (
            None if self.timeout_seconds is None else self.silence_share * self.timeout_seconds
        )
        began = time.monotonic()
        try:
            found = super().wait(gen, interval, limit)
            self.heard_at = time.monotonic()
            return found
        except psycopg.OperationalError:
            if limit is not None and time.monotonic() - began >= limit:
                self.close()
            raise


def _postgresql(url: URL, timeout_seconds: float | None) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": round(UNHURRIED_SECONDS),
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
    engine = create_engine(
        url,
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=30,
        pool_timeout=UNHURRIED_SECONDS
        if timeout_seconds is None
        else CONNECT_SHARE * timeout_seconds,
        json_deserializer=from_json,
    )

    class Impatient(_ImpatientConnection):
        pass

    Impatient.timeout_seconds = timeout_seconds

    @event.listens_for(engine, "do_connect")
    def connect(
        dialect: Any, record: Any, cargs: list[Any], cparams: dict[str, Any]
    ) -> psycopg.Connection[Any]:
        return Impatient.connect(*cargs, **cparams)

    ping = engine.dialect.do_ping

    def ping_where_in_doubt(connection: Any) -> bool:
        if connection.is_trusted():
            return True
        with connection.hurried():
            return ping(connection)

    engine.dialect.do_ping = ping_where_in_doubt  # type: ignore[method-assign,assignment]
    return engine


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(
            "Too many requests are waiting for the database; try again in a moment."
        ) from error
    except (OperationalError, InterfaceError) as error:
        if (
            isinstance(error.orig, sqlite3.OperationalError)
            and error.orig.sqlite_errorcode == sqlite3.SQLITE_ERROR
        ):
            raise  # a mistake in a statement
        if (
            isinstance(error.orig, psycopg.errors.DiskFull)
            or getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        ):
            raise Unavailable("The disk of the database is full.", code="storage_full") from error
        raise Unavailable("The database does not answer; try again in a moment.") from error
    except DataError as error:
        raise Invalid(
            "A value does not fit into the database: a text with a NUL in it, or a number out of range."
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(
                "The connection to the database was lost; try again in a moment."
            ) from error
        raise
