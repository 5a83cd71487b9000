"""Pages of lists that are short enough to be held whole: their cursor is the last item's name."""

from collections.abc import Sequence
from typing import TypeVar

from api.representation import schemas
from core.errors import Invalid

Item = TypeVar(
    "Item",
    schemas.ArchitectureResponse,
    schemas.ArtifactResponse,
    schemas.MethodResponse,
    schemas.WorkerResponse,
)


def paginate(items: Sequence[Item], after: str | None, limit: int) -> schemas.Page[Item]:
    """Raises Invalid for a cursor that names no item."""
    start = 0
    if after is not None:
        names = [item.name for item in items]
        if after not in names:
            message = "This cursor was given out by no page; leave it out to begin at the start."
            raise Invalid.field("after", message=message, code="invalid_cursor")
        start = names.index(after) + 1
    data = list(items[start : start + limit])
    more = start + limit < len(items)
    return schemas.Page(data=data, has_more=more, next_cursor=data[-1].name if more else None)
