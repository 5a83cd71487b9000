"""One protocol for all streams: text/event-stream, replayed from a position, then live."""

from collections.abc import AsyncIterator, Sequence
from typing import Generic, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.responses import StreamingResponse

from api.events.topics import Subscription, Topics
from core.errors import Unavailable

KEEP_ALIVE_SECONDS = 15.0
RETRY_SECONDS = 1.0
BATCH_SIZE = 200
KEEP_ALIVE = b": still here\n\n"
RETRY_HINT = b"retry: 1000\n\n"
"""How long a client waits before it reconnects, in milliseconds."""
MAX_EVENT_ID_DIGITS = 15
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
Update_contra = TypeVar("Update_contra", contravariant=True)
Update = TypeVar("Update")


class Cursor(Protocol[Update_contra]):
    """Where one stream stands: what it has sent, and so what comes next."""

    has_more: bool
    """Whether there is more to be read at once."""
    ended: bool
    """Whether the stream has sent everything that there will ever be."""

    def read(self) -> Sequence[bytes]:
        """Read the next messages from the database, in a thread. Raises Unavailable."""

    def apply(self, update: Update_contra) -> bytes | None:
        """Return what the stream lacks of an update; None where it must ``read`` first."""

    def keep_alive(self) -> bytes:
        """Return what is sent while nothing happens."""


class Stream(Generic[Update]):
    """One response: reads until it is up to date, then sends what the process's reader publishes.

    Where it falls behind too far, it reads again from its own position.
    """

    def __init__(
        self,
        topics: Topics[Update],
        topic: str,
        cursor: Cursor[Update],
        *,
        credential_id: str,
        threads: CapacityLimiter,
        follow: bool = True,
    ) -> None:
        """``follow=False``: the stream ends with what there is so far."""
        self.topics = topics
        self.topic = topic
        self.cursor = cursor
        self.credential_id = credential_id
        self.threads = threads
        self.follow = follow
        self._behind = True

    def response(self) -> StreamingResponse:
        return StreamingResponse(self._messages(), 200, HEADERS, "text/event-stream")

    async def _messages(self) -> AsyncIterator[bytes]:
        with self.topics.subscribe(self.topic, self.credential_id) as subscription:
            yield RETRY_HINT
            while not subscription.ended:
                read = self._read if self._behind else self._wait
                message = await read(subscription)
                if message:
                    yield message
                if self.cursor.ended or not (self.follow or self._behind):
                    return

    async def _read(self, subscription: Subscription[Update]) -> bytes:
        def read() -> Sequence[bytes]:
            # Of a thousand streams most wait for a thread: once the service closes, they need none.
            return [] if subscription.ended else self.cursor.read()

        try:
            messages = await to_thread.run_sync(read, limiter=self.threads)
        except Unavailable:
            await subscription.wait(RETRY_SECONDS)
            return KEEP_ALIVE
        self._behind = self.cursor.has_more
        return b"".join(messages)

    async def _wait(self, subscription: Subscription[Update]) -> bytes:
        if not await subscription.wait(KEEP_ALIVE_SECONDS):
            return self.cursor.keep_alive()
        updates = subscription.take()
        messages: list[bytes] = []
        for update in updates or ():
            message = self.cursor.apply(update)
            if message is None:
                self._behind = True
                break
            messages.append(message)
        self._behind |= updates is None
        return b"".join(messages)


def accepts_stream(request: Request) -> bool:
    """Return whether the caller wants a stream and not a page."""
    return "text/event-stream" in request.headers.get("accept", "")


def parse_event_id(event_id: str | None) -> int | None:
    """Return the number of a Last-Event-ID; None where it is none."""
    if not event_id or not event_id.isdecimal() or len(event_id) > MAX_EVENT_ID_DIGITS:
        return None
    return int(event_id)
