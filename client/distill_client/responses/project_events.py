"""What has changed in the project."""

from distill_client.responses.base import ResponseModel
from distill_client.responses.jobs import JobPhase, JobProgress


class ItemState(ResponseModel):
    """What a changed item is like, as far as a list shows it."""

    status: str | None = None
    """None for a sweep. Of a worker: ready, draining, trouble or lost."""
    name: str | None = None
    phase: JobPhase | None = None
    progress: JobProgress | None = None
    sweep_id: str | None = None
    version: int | None = None


class ProjectEvent(ResponseModel):
    """Something that has changed in the project."""

    seq: int
    type: str
    """job, sweep, model, dataset or worker."""
    id: str
    """Of the item; of a worker, its name."""
    change: str
    """created, status, phase, progress, results, changed, deleted or restored."""
    at: str
    data: ItemState
