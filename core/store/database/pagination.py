"""Keyset pagination: a cursor names the last row of a page.

Rows that are added or removed meanwhile therefore do not shift the following pages.
"""

import base64
import json
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter
from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.errors import Invalid
from core.store.database.unindexed import unindexed

Row = TypeVar("Row")
_cursor: TypeAdapter[tuple[int, str]] = TypeAdapter(
    tuple[
        Annotated[int, Field(ge=0, lt=2**62, strict=True)],
        Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")],
    ]
)


def page(
    session: Session,
    statement: Select[Row],
    created_at: InstrumentedAttribute[Any],
    row_id: InstrumentedAttribute[str],
    *,
    after: str | None,
    limit: int,
    newest_first: bool = True,
    is_few: bool = False,
) -> tuple[list[Row], str | None]:
    """Return up to ``limit`` rows after the cursor ``after``, and the next cursor or None.

    A row is an object where the statement selects a table, a named tuple where it selects columns.
    ``is_few``: few rows match, so that they are sorted, and not looked for in the list's order.
    Raises Invalid (code ``invalid_cursor``) for a cursor that no page returned.
    """
    order = unindexed(created_at) if is_few else created_at
    if after is not None:
        last_created_at, last_id = decode_cursor(after)
        key = tuple_(order, row_id)
        last_key = tuple_(literal(last_created_at), literal(last_id))
        statement = statement.where(key < last_key if newest_first else key > last_key)
    if newest_first:
        statement = statement.order_by(order.desc(), row_id.desc())
    else:
        statement = statement.order_by(order.asc(), row_id.asc())
    # One row more than asked for tells whether there is another page.
    result = session.execute(statement.limit(limit + 1))
    is_table = len(statement.column_descriptions) == 1
    rows: Sequence[Any] = result.scalars().all() if is_table else result.all()
    if len(rows) <= limit:
        return list(rows), None
    last = rows[limit - 1]
    return list(rows[:limit]), encode_cursor(getattr(last, created_at.key), last.id)


def encode_cursor(created_at: int, row_id: str) -> str:
    """Return the cursor of a row."""
    return base64.urlsafe_b64encode(json.dumps([created_at, row_id]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[int, str]:
    """Return the creation time and the id in a cursor. Raises Invalid (``invalid_cursor``)."""
    try:
        return _cursor.validate_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise invalid_cursor() from error


def invalid_cursor() -> Invalid:
    """Return the error of a cursor that no page of the list returned."""
    return Invalid.field(
        "after",
        message="No page returned this cursor; leave it out to start at the first page.",
        code="invalid_cursor",
    )
