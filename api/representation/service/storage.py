"""How much a project stores."""

from api.representation.schemas import ResponseBody
from core.store.objects.totals import StorageTotals, Total


class StorageTotal(ResponseBody):
    files: int
    bytes: int


class StorageResponse(ResponseBody):
    """What the project stores, as its rows say, and how much more there is room for."""

    total: StorageTotal
    """Everything, with what is deleted."""
    kinds: dict[str, StorageTotal]
    """By kind: `weights`, `checkpoint`, `report`, `figure`, `export` and `log` of jobs; `model`;
    `dataset`, and `thumbnails` of its images; `upload`, which is not yet imported. The weights of
    a student count once, as its job's."""
    deleted: StorageTotal
    """Files of deleted jobs, models and data sets, which can be restored for some days."""
    free_bytes: int | None
    """Free space where the objects are stored, for all projects; null in a bucket."""
    capacity_bytes: int | None
    """Size of that file system; null in a bucket."""


def storage(totals: StorageTotals, space: tuple[int, int] | None) -> StorageResponse:
    """``space``: capacity and free space in bytes; None where the store has no limit."""
    capacity_bytes, free_bytes = space or (None, None)
    return StorageResponse(
        total=_total(totals.total),
        kinds={kind: _total(total) for kind, total in totals.kinds.items()},
        deleted=_total(totals.deleted),
        free_bytes=free_bytes,
        capacity_bytes=capacity_bytes,
    )


def _total(total: Total) -> StorageTotal:
    return StorageTotal(files=total.files, bytes=total.bytes)
