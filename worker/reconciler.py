"""Every few seconds: jobs whose worker was lost go back to the queue, waiting jobs are hinted at again, scratch is cleared."""

import shutil
import threading
import time

import structlog
from sqlalchemy import Engine

from core.atomic_files import remove_partial_files
from core.errors import DistillError
from core.jobspec.status import HELD
from core.queue import wake_workers
from core.settings import Settings
from core.store import attempts, idempotency
from core.store.database.engine import read_session, write_session
from core.store.database.tables import JobRow
from core.store.lifecycle.retry_policy import RetryPolicy
from core.store.objects import orphaned_uploads
from worker import housekeeping
from worker.supervisor import Supervisor

HINTS_AT_ONCE = 64
FORGET_SECONDS = 3600.0
log = structlog.get_logger()


def reconcile_once(settings: Settings, engine: Engine, *, hinting: bool = True) -> list[str]:
    """Ids of the jobs that were taken from a lost worker. ``hinting``: whether waiting jobs are to be hinted at again."""
    lost = attempts.reclaim_expired(engine, RetryPolicy.from_settings(settings))
    for job_id in lost:
        log.warning("a job was taken back from a lost worker", job=job_id)
    for job_id in attempts.resume_due(engine):
        log.info("a job that was paused for want of room is queued again", job=job_id)
    if settings.broker_url and hinting:
        with read_session(engine) as session:
            waiting = attempts.list_claimable(session, limit=HINTS_AT_ONCE)
        for job_id in waiting:
            if not wake_workers(settings, job_id):
                break
    return lost


def clear_scratch(settings: Settings, engine: Engine) -> None:
    """Remove what killed workers of this machine left: folders whose attempt no longer holds its job, inputs half fetched."""
    for folder in (settings.resolved_scratch_folder / "jobs").glob("job_*-*"):
        job_id, _, number = folder.name.rpartition("-")
        with read_session(engine) as session:
            job = session.get(JobRow, job_id)
        # A job that this database does not know is another installation's.
        if job is not None and (job.status not in HELD or str(job.attempt) != number):
            shutil.rmtree(folder, ignore_errors=True)
    remove_partial_files(settings.resolved_scratch_folder / "cache")


def sweep_forever(settings: Settings, supervisor: Supervisor) -> None:
    """After an outage of the database every lease has run out: no sweep before the workers could renew theirs.

    Hints only while this worker has a free slot: nobody else's hints are read here, and they would pile up.
    """
    engine, not_before, forget_at = supervisor.engine, 0.0, 0.0
    while not supervisor.shutdown.wait(settings.reconcile_seconds):
        if time.monotonic() < not_before or supervisor.registration.trouble is not None:
            continue
        try:
            lost = reconcile_once(settings, engine, hinting=supervisor.idle())
            clear_scratch(settings, engine)
            if lost or time.monotonic() >= forget_at:
                orphaned_uploads.remove(engine, supervisor.objects)
            if time.monotonic() >= forget_at:
                with write_session(engine) as session:
                    idempotency.delete_expired(session)
                forget_at = time.monotonic() + FORGET_SECONDS
        except DistillError as error:
            log.warning("the sweep failed; it is tried again", error=str(error))
            not_before = time.monotonic() + settings.lease_seconds
        except Exception:
            log.exception("the sweep failed; it is tried again")


def start(settings: Settings, supervisor: Supervisor) -> threading.Thread:
    thread = threading.Thread(
        target=sweep_forever, args=(settings, supervisor), name="sweeper", daemon=True
    )
    thread.start()
    housekeeping.start(settings, supervisor.shutdown)
    return thread
