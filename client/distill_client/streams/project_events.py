"""What changes in the project, as it happens. The stream is resumed wherever it broke."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx2
from pydantic import ValidationError

from distill_client.errors import UnexpectedResponse
from distill_client.responses import ProjectEvent
from distill_client.streams.connection import BusyError, read_stream, wait_to_reconnect
from distill_client.transport import Transport


@dataclass(frozen=True)
class Reset:
    """Changes may have been missed, as the service keeps them for a day: load everything again."""


def stream_project_events(
    transport: Transport, *, after: int | None, types: Sequence[str], follow: bool
) -> Iterator[ProjectEvent | Reset]:
    """Yield every change after number ``after``, each once and in order.

    Without ``after``: what happens from now on, or with ``follow=False`` all that the service still
    has. Raises Unreachable if the stream cannot be opened within the retries.
    """
    params: dict[str, str | int | bool | list[str]] = {"follow": follow}
    if types:
        params["types"] = ",".join(types)
    last_event_id = None if after is None else str(after)
    backoff = transport.backoff()
    while True:
        try:
            for message in read_stream(transport, "events", last_event_id, params):
                last_event_id = message.id or last_event_id
                backoff.reset()
                if message.event == "reset":
                    yield Reset()
                elif message.data:
                    yield ProjectEvent.model_validate_json(message.data)
        except ValidationError as error:
            raise UnexpectedResponse("This client cannot read a change of the project.") from error
        except (BusyError, httpx2.TransportError) as error:
            wait_to_reconnect(transport, backoff, error)
            continue
        if not follow:
            return
        time.sleep(transport.backoff_seconds)  # the service was shut down in good order
