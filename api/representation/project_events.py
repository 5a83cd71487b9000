"""Changes of a project as response bodies."""

from api.representation.schemas import JobProgress, Page, ResponseBody, Time
from core.jobspec.status import Phase
from core.store.database.tables import ProjectEventRow
from core.store.project_events import Change, ItemType


class ItemState(ResponseBody):
    """What a changed item is like, as far as a list shows it. Null where it has no such thing."""

    status: str | None = None
    """Of a sweep null: it has those of its jobs. Of a worker: ready, draining, trouble or lost."""
    name: str | None = None
    phase: Phase | None = None
    progress: JobProgress | None = None
    sweep_id: str | None = None
    """The sweep that the job belongs to."""
    version: int | None = None
    """Greater after every change of a job, model or data set that a caller can see."""


class ProjectEventResponse(ResponseBody):
    """One change. Of an item's events `progress` and `changed`, only the newest is kept."""

    seq: int
    """Position in the order of all changes; send it as `after` to continue from here."""
    type: ItemType
    id: str
    """Of the item; of a worker, its name."""
    change: Change
    at: Time
    data: ItemState


class ProjectEventPage(Page[ProjectEventResponse]):
    position: int
    """Send it as `after` to get what happens after this page, even if the page is empty."""
    reset: bool
    """Changes after `after` may be missing, as they are no longer kept: load everything again."""


def project_event(row: ProjectEventRow) -> ProjectEventResponse:
    return ProjectEventResponse.model_validate(
        {
            "seq": row.seq,
            "type": row.item_type,
            "id": row.item_id,
            "change": row.change,
            "at": row.at,
            "data": row.data,
        }
    )
