"""The database's clock: one clock for all processes, so that a machine whose own is wrong claims and expires nothing wrongly."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _DatabaseNow(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


def database_now() -> _DatabaseNow:
    """An expression: the database's clock in whole milliseconds since the epoch."""
    return _DatabaseNow()


def after(seconds: float) -> ColumnElement[int]:
    """An expression: so long from now, by the database's clock."""
    return database_now() + round(seconds * 1000)


# clock_timestamp(), not now(): a transaction that waited for a lock must not see the time at which it began to wait.
@compiles(_DatabaseNow, "postgresql")
def _postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(_DatabaseNow, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
