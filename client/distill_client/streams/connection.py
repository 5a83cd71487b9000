"""One connection to an event stream of the service."""

from collections.abc import Iterator

import httpx2

from distill_client.errors import UnexpectedResponse
from distill_client.transport import (
    Backoff,
    Params,
    Transport,
    is_busy,
    is_transient,
    require_success,
    retry_after,
)

MAX_SILENCE_SECONDS = 45.0
"""The service sends at least a comment every 15 s."""


class BusyError(Exception):
    """The service cannot open the stream just now; a moment later it may."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response


def read_stream(
    transport: Transport, path: str, last_event_id: str | None, params: Params | None = None
) -> Iterator[httpx2.ServerSentEvent]:
    """Yield what one connection delivers after the event with this id.

    A message without data only says how far the client is, or how long to wait before it
    reconnects. Raises BusyError, DistillProblem, UnexpectedResponse, and httpx2.TransportError
    where the connection breaks.
    """
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    timeout = httpx2.Timeout(transport.timeout, read=MAX_SILENCE_SECONDS)
    with transport.http.stream(
        "GET", path, params=params, headers=headers, timeout=timeout
    ) as response:
        if is_busy(response):
            response.read()
            raise BusyError(response)
        require_success(response)
        try:
            yield from httpx2.EventSource(response, max_event_size=None)
        except httpx2.SSEError as error:
            raise UnexpectedResponse(f"{path} sends no event stream: {error}") from error


def wait_to_reconnect(
    transport: Transport, backoff: Backoff, error: BusyError | httpx2.TransportError
) -> None:
    """Wait until the stream may be opened again.

    Raises DistillProblem or Unreachable if that is pointless, or there are no retries left.
    """
    if isinstance(error, BusyError):
        if not backoff.wait(retry_after(error.response)):
            require_success(error.response)
    elif not is_transient(error) or not backoff.wait():
        raise transport.unreachable(error) from error
