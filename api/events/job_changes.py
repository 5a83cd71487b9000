"""Notifies streams that a job has changed: one query for all streams of this process."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any

import anyio
import structlog
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Engine

from core.errors import DistillError
from core.store import jobs
from core.store.database.engine import read_session

POLL_SECONDS = 0.3
READER_THREADS = 8
"""For streams only: a thousand streams must not take the threads that other requests need."""
log = structlog.get_logger()


class Subscription:
    """What one stream waits on for one job. Notifications that arrive together count as one."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Return True as soon as the job has changed, and False after ``seconds``."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()
        changed = self._changed.is_set()
        self._changed.clear()
        return changed


class JobChanges:
    """Polls the versions of the subscribed jobs and notifies the subscriptions of changed ones."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.closing = False
        self.threads = CapacityLimiter(READER_THREADS)
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._versions: dict[str, int] = {}

    @property
    def subscription_count(self) -> int:
        return sum(map(len, self._subscriptions.values()))

    @contextlib.contextmanager
    def subscribe(self, job_id: str) -> Iterator[Subscription]:
        """Yield a subscription that ends with the block."""
        subscription = Subscription()
        self._subscriptions.setdefault(job_id, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[job_id].discard(subscription)
            if not self._subscriptions[job_id]:
                del self._subscriptions[job_id]
                self._versions.pop(job_id, None)

    def close(self) -> None:
        """Wake every stream, so that it ends."""
        self.closing = True
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.notify()

    async def poll_forever(self) -> None:
        """Poll until cancelled. A failure is logged and followed by the next poll."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._subscriptions:
                continue
            try:
                versions = await to_thread.run_sync(
                    self._read_versions, list(self._subscriptions), limiter=self.threads
                )
            except DistillError as error:
                log.warning("polling for changed jobs failed; trying again", error=str(error))
                continue
            except Exception:  # without this task every stream would fall silent
                log.exception("polling for changed jobs failed; trying again")
                continue
            self._notify_changed(versions)

    def _read_versions(self, job_ids: list[str]) -> dict[str, int]:
        with read_session(self.engine) as session:
            return jobs.versions(session, job_ids)

    def _notify_changed(self, versions: dict[str, int]) -> None:
        for job_id, version in versions.items():
            if self._versions.get(job_id) != version:
                self._versions[job_id] = version
                for subscription in self._subscriptions.get(job_id, ()):
                    subscription.notify()


@contextlib.asynccontextmanager
async def polling(changes: JobChanges) -> AsyncIterator[None]:
    """Poll for changes within the block.

    A termination signal closes ``changes`` at once: the server tells the application to shut down
    only after all open responses, and so all streams, have ended.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(changes.poll_forever())
    with _on_termination(lambda: loop.call_soon_threadsafe(changes.close)):
        try:
            yield
        finally:
            changes.close()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.contextmanager
def _on_termination(callback: Callable[[], object]) -> Iterator[None]:
    """Call ``callback`` on SIGTERM and SIGINT, before the server's own handler."""
    previous: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        callback()
        if callable(previous[number]):
            previous[number](number, frame)

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if not callable(handler):
                continue  # the default action, or ignored: no server to run before
            previous[number] = handler
            signal.signal(number, handle)
    except ValueError:  # not in the main thread, so there is no server with signal handlers
        pass
    try:
        yield
    finally:
        for changed_number, previous_handler in previous.items():
            if signal.getsignal(changed_number) is handle:
                signal.signal(changed_number, previous_handler)
