"""Every few seconds: jobs whose worker was lost go back to the queue, and waiting jobs are hinted at again."""

import threading

import structlog
from sqlalchemy import Engine

from core.errors import DistillError
from core.queue import hint
from core.settings import Settings
from core.store import attempts
from core.store.engine import reading

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


def sweep_forever(settings: Settings, engine: Engine, shutdown: threading.Event) -> None:
    while not shutdown.wait(settings.sweep_seconds):
        try:
            sweep_once(settings, engine)
        except DistillError as error:
            log.warning("the sweep failed; it is tried again", error=str(error))
        except Exception:
            log.exception("the sweep failed; it is tried again")


def start(settings: Settings, engine: Engine, shutdown: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=sweep_forever, args=(settings, engine, shutdown), name="sweeper", daemon=True)
    thread.start()
    return thread
