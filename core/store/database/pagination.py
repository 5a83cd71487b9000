"""Pages of a list by keyset: a cursor names the last row that was seen, so rows that come or go move no page."""

import base64
import json
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter
from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.errors import Invalid

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
    created_at: InstrumentedAttribute[int],
    row_id: InstrumentedAttribute[str],
    *,
    after: str | None,
    limit: int,
    newest_first: bool = True,
) -> tuple[list[Row], str | None]:
    """Up to ``limit`` rows behind the cursor ``after``, and the next cursor; None at the end.

    Each is a thing where the statement selects a table, and a named tuple where it selects columns.
    Raises Invalid (code ``invalid_cursor``) for a cursor that no page gave out.
    """
    if after is not None:
        seen_at, seen_id = decode(after)
        place = tuple_(created_at, row_id)
        seen = tuple_(literal(seen_at), literal(seen_id))
        statement = statement.where(place < seen if newest_first else place > seen)
    order = (created_at.desc(), row_id.desc()) if newest_first else (created_at.asc(), row_id.asc())
    found = session.execute(statement.order_by(*order).limit(limit + 1))
    rows: Sequence[Any] = (
        found.scalars() if len(statement.column_descriptions) == 1 else found
    ).all()
    if len(rows) <= limit:
        return list(rows), None
    last = rows[limit - 1]
    return list(rows[:limit]), encode(getattr(last, created_at.key), last.id)


def encode(created_at: int, row_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([created_at, row_id]).encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[int, str]:
    try:
        return _cursor.validate_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise Invalid.field(
            "after",
            message="This cursor was given out by no page; leave it out to begin at the start.",
            code="invalid_cursor",
        ) from error
