"""The database's clock.

All processes use this one clock, so that a machine whose own clock is wrong neither claims nor
expires anything at a wrong time.
"""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _DatabaseNow(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


def database_now() -> _DatabaseNow:
    """Return an expression: the database's time in whole milliseconds since the epoch."""
    return _DatabaseNow()


def after(seconds: float) -> ColumnElement[int]:
    """Return an expression: the time that many seconds from now, by the database's clock."""
    return database_now() + round(seconds * 1000)


# clock_timestamp(), not now(): in Postgres now() is the time at which the transaction began, which
# is too early for a transaction that has waited for a lock.
@compiles(_DatabaseNow, "postgresql")
def _compile_for_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(_DatabaseNow, "sqlite")
def _compile_for_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
