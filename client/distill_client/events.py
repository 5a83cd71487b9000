"""A job's events as they happen.

The event stream is resumed wherever it broke; where no stream gets through, the job is polled.
"""

import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx2
from pydantic import ValidationError

from distill_client.errors import ClientError, DistillProblem, UnexpectedResponse, Unreachable
from distill_client.responses import TERMINAL_STATUSES, Event, Job, parse_response
from distill_client.streams.connection import BusyError, read_stream, wait_to_reconnect
from distill_client.transport import BUSY_STATUSES, Transport

POLL_SECONDS = 2.0
MAX_OUTAGE_SECONDS = 60.0
"""How long polling goes on while the service is away, for instance being restarted."""

OnUpdate = Callable[[Job], None]


def get_job(transport: Transport, job_id: str) -> Job:
    return parse_response(Job, transport.get(f"jobs/{quote(job_id, safe='')}"))


def stream_events(transport: Transport, job_id: str, after: int = 0) -> Iterator[Event | Job]:
    """Yield every event after number ``after``, each once and in order, until the job ends.

    Also yields the job whenever its progress has changed. The stream ends with the event that ends
    the job, unless the service has just sent the job as not ended: a failed job may have been
    retried since. Raises Unreachable if the stream cannot be opened within the retries.
    """
    last = after
    has_ended = False
    backoff = transport.backoff()
    while True:
        first = last
        is_open = False
        try:
            for item in _connect(transport, job_id, last):
                if isinstance(item, Event):
                    last = item.seq
                backoff.reset()
                yield item
                if isinstance(item, Job):
                    is_open = not item.terminal
                elif _is_terminal(item) and not is_open:
                    return
        except (BusyError, httpx2.TransportError) as error:
            wait_to_reconnect(transport, backoff, error)
            continue
        # The stream closed without an error. If the job had ended before this connection, and
        # there was nothing new, then there is nothing to come.
        if has_ended and last == first:
            return
        has_ended = get_job(transport, job_id).terminal
        if not has_ended:
            time.sleep(transport.backoff_seconds)


def _is_terminal(event: Event) -> bool:
    return event.type == "status" and event.data.get("to") in TERMINAL_STATUSES


def _connect(transport: Transport, job_id: str, last: int) -> Iterator[Event | Job]:
    """Yield what one connection delivers after event number ``last``."""
    path = f"jobs/{quote(job_id, safe='')}/events"
    try:
        for message in read_stream(transport, path, str(last) if last else None):
            # A message without data only says how long to wait before reconnecting.
            if not message.data:
                continue
            model = Job if message.event == "job" else Event
            item = model.model_validate_json(message.data)
            if isinstance(item, Event):
                if item.seq <= last:
                    continue
                last = item.seq
            yield item
    except ValidationError as error:
        raise UnexpectedResponse(f"This client cannot read an event of {job_id}.") from error


def wait_for_job(transport: Transport, job_id: str, on_update: OnUpdate) -> Job:
    """Return the job once it has ended. Calls ``on_update`` with each change."""
    job = get_job(transport, job_id)
    on_update(job)
    if job.terminal:
        return job
    try:
        for item in stream_events(transport, job_id):
            if isinstance(item, Job):
                on_update(item)
    except ClientError as error:
        # A proxy may let no stream through, so any unexpected response is a reason to poll.
        if not _is_outage(error) and not isinstance(error, UnexpectedResponse):
            raise
        return _poll(transport, job_id, on_update)
    job = get_job(transport, job_id)
    on_update(job)
    return job


def _poll(transport: Transport, job_id: str, on_update: OnUpdate) -> Job:
    last_response = time.monotonic()
    while True:
        try:
            job = get_job(transport, job_id)
        except ClientError as error:
            outage = time.monotonic() - last_response
            if not _is_outage(error) or outage > MAX_OUTAGE_SECONDS:
                raise
        else:
            last_response = time.monotonic()
            on_update(job)
            if job.terminal:
                return job
        time.sleep(POLL_SECONDS)


def _is_outage(error: ClientError) -> bool:
    """Return whether the service is away for now, which does not affect the job."""
    return isinstance(error, Unreachable) or (
        isinstance(error, DistillProblem) and error.status in BUSY_STATUSES
    )
