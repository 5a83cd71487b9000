"""Updates from the one reader of this process to the streams that wait for them, by topic.

A topic is a job or a project. An update is made once and shared by all subscriptions of its topic.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

import anyio

MAX_UPDATES = 32
"""How far a stream may fall behind before it has to read again by itself."""
Update = TypeVar("Update")


class Subscription(Generic[Update]):
    """What one stream waits on. Only for the event loop's thread."""

    def __init__(self, credential_id: str) -> None:
        """``credential_id``: of the API key or session that opened the stream."""
        self.credential_id = credential_id
        self.ended = False
        """Whether the stream has to end: the service is closing, or its credential is not valid."""
        self._updates: deque[Update] = deque()
        self._overflowed = False
        self._changed = asyncio.Event()

    def publish(self, update: Update) -> None:
        if len(self._updates) < MAX_UPDATES:
            self._updates.append(update)
        else:
            self._updates.clear()
            self._overflowed = True
        self._changed.set()

    def end(self) -> None:
        self.ended = True
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Return True as soon as there is something new, and False after ``seconds``."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()
        changed = self._changed.is_set()
        self._changed.clear()
        return changed

    def take(self) -> list[Update] | None:
        """Return the updates since the last call, or None where some were dropped."""
        if self._overflowed:
            self._overflowed = False
            self._updates.clear()
            return None
        updates = list(self._updates)
        self._updates.clear()
        return updates


class Topics(Generic[Update]):
    """The subscriptions of this process, by topic."""

    def __init__(self) -> None:
        self.closing = False
        self._subscriptions: dict[str, set[Subscription[Update]]] = {}

    def __iter__(self) -> Iterator[Subscription[Update]]:
        for subscriptions in self._subscriptions.values():
            yield from subscriptions

    @property
    def names(self) -> list[str]:
        """The topics that have subscriptions."""
        return list(self._subscriptions)

    @contextlib.contextmanager
    def subscribe(self, topic: str, credential_id: str) -> Iterator[Subscription[Update]]:
        """Yield a subscription that ends with the block."""
        subscription: Subscription[Update] = Subscription(credential_id)
        self._subscriptions.setdefault(topic, set()).add(subscription)
        if self.closing:
            subscription.end()
        try:
            yield subscription
        finally:
            self._subscriptions[topic].discard(subscription)
            if not self._subscriptions[topic]:
                del self._subscriptions[topic]
                self.forget(topic)

    def publish(self, topic: str, update: Update) -> None:
        for subscription in self._subscriptions.get(topic, ()):
            subscription.publish(update)

    def forget(self, topic: str) -> None:
        """Drop what is known of a topic that has no subscriptions any more."""

    def close(self) -> None:
        """End every stream, also those that begin later."""
        self.closing = True
        for subscription in self:
            subscription.end()
