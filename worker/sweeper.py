"""Every few seconds: jobs whose worker was lost go back to the queue, waiting jobs are hinted at again, scratch is cleared."""

import shutil
import threading

import structlog
from sqlalchemy import Engine

from core.errors import DistillError
from core.queue import hint
from core.settings import Settings
from core.spec.status import HELD
from core.store import attempts
from core.store.engine import reading
from core.store.tables import Job

HINTS_AT_ONCE = 64
log = structlog.get_logger()


def sweep_once(settings: Settings, engine: Engine) -> list[str]:
    """Ids of the jobs that were taken from a lost worker."""
    lost = attempts.sweep(engine, max_attempts=settings.max_attempts, backoff_seconds=settings.backoff_seconds)
    for job_id in lost:
        log.warning("a job was taken back from a lost worker", job=job_id)
    if settings.broker_url:
        with reading(engine) as session:
            waiting = attempts.next_queued(session, limit=HINTS_AT_ONCE)
        for job_id in waiting:
            if not hint(settings, job_id):
                break
    return lost


def clear_scratch(settings: Settings, engine: Engine) -> None:
    """Remove the folders that killed workers of this machine have left: those whose attempt no longer holds its job."""
    for folder in (settings.resolved_scratch_folder / "jobs").glob("job_*-*"):
        job_id, _, number = folder.name.rpartition("-")
        with reading(engine) as session:
            job = session.get(Job, job_id)
        if job is None or job.status not in HELD or str(job.attempt) != number:
            shutil.rmtree(folder, ignore_errors=True)


def sweep_forever(settings: Settings, engine: Engine, shutdown: threading.Event) -> None:
    while not shutdown.wait(settings.sweep_seconds):
        try:
            sweep_once(settings, engine)
            clear_scratch(settings, engine)
        except DistillError as error:
            log.warning("the sweep failed; it is tried again", error=str(error))
        except Exception:
            log.exception("the sweep failed; it is tried again")


def start(settings: Settings, engine: Engine, shutdown: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=sweep_forever, args=(settings, engine, shutdown), name="sweeper", daemon=True)
    thread.start()
    return thread
