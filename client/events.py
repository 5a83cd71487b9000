"""A job's life as it happens: the event stream, taken up again where it broke; polling where there is no stream to be had."""

import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx2
from pydantic import ValidationError

from client.answers import Event, Job, read
from client.errors import ClientError, DistillProblem, UnexpectedAnswer, Unreachable
from client.transport import BUSY, Transport, checked, is_busy, is_passing, retry_after
from core.jobspec.status import TERMINAL

SILENCE_SECONDS = 45.0
"""The service says at least a comment every 15 s."""
POLL_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
"""A service that is being restarted is waited for so long."""

OnUpdate = Callable[[Job], None]


def fetch_job(transport: Transport, job_id: str) -> Job:
    return read(Job, transport.get(f"jobs/{quote(job_id, safe='')}"))


def follow(transport: Transport, job_id: str, after: int = 0) -> Iterator[Event | Job]:
    """Every event behind number ``after``, each once and in order, and the job whenever its progress has changed.

    Ends behind the event that ends the job, unless the service has just said that the job goes on: one that failed may have
    been tried again since. Raises Unreachable when the stream cannot be had for too long.
    """
    last, ended, backoff = after, False, transport.backoff()
    while True:
        before, is_open = last, False
        try:
            for item in _connection(transport, job_id, last):
                if isinstance(item, Event):
                    last = item.seq
                backoff.reset()
                yield item
                if isinstance(item, Job):
                    is_open = not item.terminal
                elif item.type == "status" and item.data.get("to") in TERMINAL and not is_open:
                    return
        except _Busy as error:
            if not backoff.wait(retry_after(error.response)):
                checked(error.response)
            continue
        except httpx2.SSEError as error:
            raise UnexpectedAnswer(
                f"The events of {job_id} come as no event stream: {error}"
            ) from error
        except httpx2.TransportError as error:
            if not is_passing(error) or not backoff.wait():
                raise transport.unreachable(error) from error
            continue
        if ended and last == before:
            return
        ended = fetch_job(transport, job_id).terminal
        if not ended:
            time.sleep(transport.backoff_seconds)


class _Busy(Exception):
    def __init__(self, response: httpx2.Response) -> None:
        self.response = response


def _connection(transport: Transport, job_id: str, last: int) -> Iterator[Event | Job]:
    """One connection's worth of the stream, behind event ``last``."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | (
        {"Last-Event-ID": str(last)} if last else {}
    )
    timeout = httpx2.Timeout(transport.timeout, read=SILENCE_SECONDS)
    with transport.http.stream(
        "GET", f"jobs/{quote(job_id, safe='')}/events", headers=headers, timeout=timeout
    ) as response:
        if is_busy(response):
            response.read()
            raise _Busy(response)
        checked(response)
        for message in httpx2.EventSource(response, max_event_size=None):
            if not message.data:  # only how long to wait before the next connection
                continue
            try:
                item = (Job if message.event == "job" else Event).model_validate_json(message.data)
            except ValidationError as error:
                raise UnexpectedAnswer(
                    f"An event of {job_id} is not one that this client can read."
                ) from error
            if isinstance(item, Job) or item.seq > last:
                last = last if isinstance(item, Job) else item.seq
                yield item


def watch(transport: Transport, job_id: str, on_update: OnUpdate) -> Job:
    """Tell of every change until the job has ended, and return it."""
    job = fetch_job(transport, job_id)
    on_update(job)
    if job.terminal:
        return job
    try:
        for item in follow(transport, job_id):
            if isinstance(item, Job):
                on_update(item)
    except ClientError as error:
        if not _may_pass(error) and not isinstance(error, UnexpectedAnswer):
            raise
        return _poll(transport, job_id, on_update)
    job = fetch_job(transport, job_id)
    on_update(job)
    return job


def _poll(transport: Transport, job_id: str, on_update: OnUpdate) -> Job:
    heard_at = time.monotonic()
    while True:
        try:
            job = fetch_job(transport, job_id)
        except ClientError as error:
            if not _may_pass(error) or time.monotonic() - heard_at > PATIENCE_SECONDS:
                raise
        else:
            heard_at = time.monotonic()
            on_update(job)
            if job.terminal:
                return job
        time.sleep(POLL_SECONDS)


def _may_pass(error: ClientError) -> bool:
    """Whether the job is none the worse for it, and the service may be back in a moment."""
    return isinstance(error, Unreachable) or (
        isinstance(error, DistillProblem) and error.status in BUSY
    )
