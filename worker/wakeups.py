"""A kombu transport that takes wake-ups from the broker: job ids, and nothing else.

Whoever can reach the broker may put any message there. One that kombu or Celery cannot read ends
the worker, and goes back to the queue, where it ends the next worker. So this transport checks
every message before Celery sees it, drops those that are no wake-ups, and keeps only the job id of
the others: no date, no reply address, no further task.
"""

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from kombu.transport import redis, virtual

from core.queue import TASK
from core.store.database.ids import is_id

log = structlog.get_logger()
_PARSE_ERRORS = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What reading a message of any other form raises."""


class QoS(redis.QoS):
    """Lets go of a message also where the broker cannot be told so.

    Celery logs an acknowledgement that fails, and goes on. The message would take the place of
    another for as long as the worker lives; after two of them a worker of two slots would take no
    further wake-up. The broker delivers the message again later: it is a wake-up without effect.
    """

    def ack(self, delivery_tag: str) -> None:
        with self._letting_go(delivery_tag):
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        with self._letting_go(delivery_tag):
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]

    @contextmanager
    def _letting_go(self, delivery_tag: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


class Channel(redis.Channel):
    QoS = QoS

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError):  # not JSON
            log_dropped_message()
            return True


class Transport(redis.Transport):
    """A worker's transport: its ``broker_transport`` in Celery's settings."""

    Channel = Channel
    driver_type = "wakeups"
    """Not ``redis``: with that type workers exchange events, and trust whoever answers."""

    def _deliver(self, message: Any, queue: str) -> None:
        job_id = parse_job_id(message)
        if job_id is None:
            log_dropped_message()
        else:
            super()._deliver(make_message(job_id, queue), queue)  # type: ignore[no-untyped-call]


def parse_job_id(message: Any) -> str | None:
    """Return the job id of a wake-up as ``core.queue`` sends it; None for any other message."""
    try:
        body = message["body"]
        if message["properties"]["body_encoding"] == "base64":
            body = base64.b64decode(body, validate=True)
        (job_id,), arguments, _ = json.loads(body)
        if message["headers"]["task"] != TASK or message["content-type"] != "application/json":
            return None
        return job_id if arguments == {} and is_id(job_id) else None
    except _PARSE_ERRORS:
        return None


def make_message(job_id: str, queue: str) -> dict[str, Any]:
    """Return a new wake-up in the form in which kombu delivers messages."""
    tag = str(uuid.uuid4())
    return {
        "body": base64.b64encode(json.dumps([[job_id], {}, {}]).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": TASK, "id": tag},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": tag,
        },
    }


def log_dropped_message() -> None:
    log.warning("dropped a message that is not a wake-up")
