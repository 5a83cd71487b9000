"""A column that no index answers for: where the database would choose the wrong one.

SQLite without statistics takes any index for a good one, even on a column with a single value.
"""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Unindexed(FunctionElement[Any]):
    inherit_cache = True

    def __init__(self, column: Any) -> None:
        super().__init__(column)
        self.type = column.type


def unindexed(column: Any) -> ColumnElement[Any]:
    """Return an expression with the column's value that no index on the column serves."""
    return _Unindexed(column)


@compiles(_Unindexed, "sqlite")
def _compile_for_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


@compiles(_Unindexed, "postgresql")
def _compile_for_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    # Postgres has statistics: only the order of a list, by a number, would lead it astray.
    return f"({column} + 0)" if isinstance(element.type, BigInteger | Double) else column
