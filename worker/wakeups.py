"""What a worker takes from the broker: job ids, and nothing else.

Whoever reaches the broker may put anything there, and a message that kombu or Celery cannot read ends the worker that read
it, which first puts it back for the next one. So every message is looked at before Celery sees it. One that is no hint is
dropped. Of a hint only the job's id is kept: no date, no reply address, no other task to be called afterwards.
"""

import base64
import json
import uuid
from typing import Any

import structlog
from kombu.transport import redis

from core.queue import TASK
from core.store.database.ids import is_id

log = structlog.get_logger()
_NO_HINT = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What reading a message raises that is none of ours."""


class Channel(redis.Channel):
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError):  # it is no JSON
            drop()
            return True


class Transport(redis.Transport):
    """Celery's ``broker_transport`` of a worker."""

    Channel = Channel
    driver_type = "hints"
    """Not redis, with which workers would greet each other over the broker, and listen to whoever answers."""

    def _deliver(self, message: Any, queue: str) -> None:
        job_id = job_hinted_at(message)
        if job_id is None:
            drop()
        else:
            super()._deliver(fresh(job_id, queue), queue)  # type: ignore[no-untyped-call]


def job_hinted_at(message: Any) -> str | None:
    """The job's id; None where the message is anything but a hint as ``core.queue`` sends it."""
    try:
        body = message["body"]
        if message["properties"]["body_encoding"] == "base64":
            body = base64.b64decode(body, validate=True)
        (job_id,), arguments, _ = json.loads(body)
        ours = message["headers"]["task"] == TASK and message["content-type"] == "application/json"
        return job_id if ours and arguments == {} and is_id(job_id) else None
    except _NO_HINT:
        return None


def fresh(job_id: str, queue: str) -> dict[str, Any]:
    """The hint as a message of our own making."""
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


def drop() -> None:
    log.warning("a message that is no hint was dropped")
