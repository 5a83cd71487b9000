"""What killed processes have left half written in the object store, and nobody goes on with."""

import structlog
from sqlalchemy import Engine

from core.jobspec.status import HELD
from core.store.database.engine import read_session
from core.store.database.tables import DatasetRow, JobRow, ModelRow
from core.store.objects.multipart import BucketUnavailable
from core.store.objects.store import Objects

log = structlog.get_logger()


def remove(engine: Engine, objects: Objects) -> list[str]:
    """Remove it; the names of what is removed. Raises Unavailable where the database does not answer.

    In a folder a lock says whether a file is still being written. On S3 the rows say it: of a worker's upload whether its
    attempt still holds the job, of a caller's whether the model or data set still awaits it. A bucket that cannot be asked
    needs a rule of its own (AbortIncompleteMultipartUpload).
    """
    removed, bucket = objects.remove_partial_writes(), objects.bucket()
    if bucket is None:
        return removed
    try:
        for upload in bucket.list_uploads():
            if not _is_awaited(engine, upload.key):
                bucket.abort(upload)
                removed.append(upload.key)
    except BucketUnavailable as error:
        log.warning("unfinished uploads were not removed", error=str(error))
    return removed


def _is_awaited(engine: Engine, key: str) -> bool:
    """By the store's own naming of keys (``core.store.objects.store``); what has another name is somebody else's, and left alone."""
    with read_session(engine) as session:
        match key.split("/"):
            case ["jobs", job_id, attempt, *_]:
                job = session.get(JobRow, job_id)
                return job is not None and job.status in HELD and str(job.attempt) == attempt
            case ["uploads", owner_id, _]:
                owner = session.get(ModelRow, owner_id) or session.get(DatasetRow, owner_id)
                return owner is not None and owner.status == "awaiting_upload"
    return True
