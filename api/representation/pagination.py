"""Pages of lists that the store has cut already, and of lists short enough to be in memory."""

from collections.abc import Sequence
from typing import TypeVar

from api.representation import schemas
from api.representation.submission.examples import ExampleResponse
from core.errors import Invalid

Item = TypeVar("Item")
Named = TypeVar(
    "Named",
    ExampleResponse,
    schemas.ArchitectureResponse,
    schemas.ArtifactResponse,
    schemas.MethodResponse,
    schemas.WorkerResponse,
)


def page_of(
    items: Sequence[Item], next_cursor: str | None, total: int | None = None
) -> schemas.Page[Item]:
    """Make the page of a list that the store has cut: ``next_cursor`` is None at its end."""
    has_more = next_cursor is not None
    return schemas.Page(data=list(items), has_more=has_more, next_cursor=next_cursor, total=total)


def paginate(items: Sequence[Named], after: str | None, limit: int) -> schemas.Page[Named]:
    """Cut one page out of a complete list; the cursor is the name of the last item before it.

    Raises Invalid for a cursor that names no item.
    """
    start = 0
    if after is not None:
        names = [item.name for item in items]
        if after not in names:
            message = "No page ever returned this cursor; leave it out to begin at the start."
            raise Invalid.field("after", message=message, code="invalid_cursor")
        start = names.index(after) + 1
    data = items[start : start + limit]
    has_more = start + limit < len(items)
    return page_of(data, data[-1].name if has_more else None)
