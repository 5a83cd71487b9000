"""Wake-ups: Celery messages, of a job id and nothing else, that tell workers of a queued job.

A wake-up may be lost, late or duplicated. Whether a job is queued is what its row says, and each
worker's reconciler sends wake-ups again. Without a broker, workers poll the database.
"""

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog

from core.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

TASK = "distill.run"
QUEUE = "distill"
BROKER_TIMEOUT_SECONDS = 1.0
BROKER_BACKOFF_SECONDS = 5.0
"""Pause after a failure in which nothing is sent: not every caller is to wait for a timeout."""

MAX_RETRY_SECONDS = 5
"""Longest pause between a worker's attempts to reconnect to the broker; Celery's grow to 30 s."""

log = structlog.get_logger()
_failed_at: float | None = None


@lru_cache
def make_app(broker_url: str) -> "Celery":
    """Return the Celery application of producers and workers.

    Celery is imported here, so that a process without a broker does not pay for its memory.
    """
    from celery import Celery
    from kombu.connection import Connection

    class Reconnecting(Connection):
        def ensure_connection(self, *args: Any, **options: Any) -> Any:
            options |= {"interval_start": 1, "interval_max": MAX_RETRY_SECONDS}
            return super().ensure_connection(*args, **options)  # type: ignore[no-untyped-call]

    app = Celery("distill", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_timeout=BROKER_TIMEOUT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 1.5,
            "socket_connect_timeout": BROKER_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            "max_retries": 0,
        },
    )
    app.amqp.Connection = Reconnecting
    return app


def wake_workers(settings: Settings, job_id: str) -> bool:
    """Send a wake-up for a queued job; return False if the broker cannot be reached.

    Finding that out takes about a second, and is then remembered for BROKER_BACKOFF_SECONDS.
    """
    global _failed_at  # noqa: PLW0603 - the broker's last failure is a fact of the process
    if not settings.broker_url:
        return True
    if _failed_at is not None and time.monotonic() - _failed_at < BROKER_BACKOFF_SECONDS:
        return False
    try:
        make_app(settings.broker_url).send_task(
            TASK, args=[job_id], retry=False, ignore_result=True
        )
    except Exception as error:  # whatever the broker's client raises: the job is queued already
        _failed_at = time.monotonic()
        log.warning(
            "the broker cannot be reached; the job waits for the reconciler",
            job=job_id,
            error=type(error).__name__,
        )
        return False
    _failed_at = None
    return True
