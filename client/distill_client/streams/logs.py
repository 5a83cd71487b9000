"""The lines of a job's log, as they are written. The stream is resumed wherever it broke."""

import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx2
from pydantic import ValidationError

from distill_client.errors import UnexpectedResponse
from distill_client.responses import LogLine
from distill_client.streams.connection import BusyError, read_stream, wait_to_reconnect
from distill_client.transport import Transport


def stream_log(
    transport: Transport, job_id: str, *, attempt: int | None, tail: int | None, follow: bool
) -> Iterator[LogLine]:
    """Yield every line, each once and in order, until the service says that none will follow.

    Raises Unreachable if the stream cannot be opened within the retries.
    """
    path = f"jobs/{quote(job_id, safe='')}/logs"
    options = {"attempt": attempt, "tail": tail}
    params: dict[str, str | int | bool | list[str]] = {"follow": follow}
    params |= {name: value for name, value in options.items() if value is not None}
    last_event_id = None
    backoff = transport.backoff()
    while True:
        try:
            for message in read_stream(transport, path, last_event_id, params):
                last_event_id = message.id or last_event_id
                backoff.reset()
                if message.event == "end":
                    return
                if message.event == "line":
                    yield LogLine.model_validate_json(message.data)
        except ValidationError as error:
            raise UnexpectedResponse(f"This client cannot read the log of {job_id}.") from error
        except (BusyError, httpx2.TransportError) as error:
            wait_to_reconnect(transport, backoff, error)
            continue
        time.sleep(transport.backoff_seconds)  # the service was shut down in good order
