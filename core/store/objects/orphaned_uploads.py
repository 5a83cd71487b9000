"""Orphaned uploads: what killed processes have left half written in the object store."""

import structlog
from sqlalchemy import Engine

from core.jobspec.status import LEASED
from core.store.database.engine import read_session
from core.store.database.tables import DatasetRow, JobRow, ModelRow
from core.store.objects.multipart import BucketUnavailable
from core.store.objects.store import Objects

log = structlog.get_logger()


def remove(engine: Engine, objects: Objects) -> list[str]:
    """Remove orphaned uploads; return their keys or file names.

    In a folder, a lock tells whether a file is still being written. In S3 the rows tell: a worker's
    upload is needed while its attempt owns the job, a caller's while the model or data set awaits
    it. A bucket that cannot be listed needs a lifecycle rule of its own
    (AbortIncompleteMultipartUpload).

    Raises Unavailable where the database does not answer.
    """
    removed = objects.remove_partial_writes()
    bucket = objects.bucket()
    if bucket is None:
        return removed
    try:
        for upload in bucket.list_uploads():
            if not _is_needed(engine, upload.key):
                bucket.abort(upload)
                removed.append(upload.key)
    except BucketUnavailable as error:
        log.warning("orphaned uploads were not removed", error=str(error))
    return removed


def _is_needed(engine: Engine, key: str) -> bool:
    """Decide by the key functions of ``store``; a key of another form is not this service's."""
    with read_session(engine) as session:
        match key.split("/"):
            case ["jobs", job_id, attempt, *_]:
                job = session.get(JobRow, job_id)
                return job is not None and job.status in LEASED and str(job.attempt) == attempt
            case ["uploads", owner_id, _]:
                owner = session.get(ModelRow, owner_id) or session.get(DatasetRow, owner_id)
                return owner is not None and owner.status == "awaiting_upload"
    return True
