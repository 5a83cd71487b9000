"""Notices that watched jobs have changed: one query for all streams of this process, however many there are."""

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
"""Threads that streams read in: a thousand streams must not take those that other requests need."""
log = structlog.get_logger()


class Subscription:
    """One stream's view of one job."""

    def __init__(self) -> None:
        self._happened = asyncio.Event()

    def notify(self) -> None:
        self._happened.set()

    async def wait(self, seconds: float) -> bool:
        """True when something has changed, False when ``seconds`` have passed."""
        with anyio.move_on_after(seconds):
            await self._happened.wait()
        changed = self._happened.is_set()
        self._happened.clear()
        return changed


class JobChanges:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.closing = False
        self.threads = CapacityLimiter(READER_THREADS)
        self._watched: dict[str, set[Subscription]] = {}
        self._versions: dict[str, int] = {}

    @property
    def streams(self) -> int:
        return sum(map(len, self._watched.values()))

    @contextlib.contextmanager
    def subscribe(self, job_id: str) -> Iterator[Subscription]:
        change = Subscription()
        self._watched.setdefault(job_id, set()).add(change)
        try:
            yield change
        finally:
            self._watched[job_id].discard(change)
            if not self._watched[job_id]:
                del self._watched[job_id]
                self._versions.pop(job_id, None)

    def close(self) -> None:
        """Let every stream end."""
        self.closing = True
        for changes in self._watched.values():
            for change in changes:
                change.notify()

    async def poll_forever(self) -> None:
        """Until cancelled. A database that does not answer is asked again."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._watched:
                continue
            try:
                found = await to_thread.run_sync(
                    self._look, list(self._watched), limiter=self.threads
                )
            except DistillError as error:
                log.warning("looking for changed jobs failed; trying again", error=str(error))
                continue
            except Exception:  # without this task every stream would fall silent
                log.exception("looking for changed jobs failed; trying again")
                continue
            for job_id, version in found.items():
                if self._versions.get(job_id) != version:
                    self._versions[job_id] = version
                    for change in self._watched.get(job_id, ()):
                        change.notify()

    def _look(self, job_ids: list[str]) -> dict[str, int]:
        with read_session(self.engine) as session:
            return jobs.versions(session, job_ids)


@contextlib.asynccontextmanager
async def polling(watch: JobChanges) -> AsyncIterator[None]:
    """The watch at work. A signal to end is heard here at once: the server itself waits for open streams before it
    tells the application."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(watch.poll_forever())
    with _on_signals(lambda: loop.call_soon_threadsafe(watch.close)):
        try:
            yield
        finally:
            watch.close()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.contextmanager
def _on_signals(tell: Callable[[], object]) -> Iterator[None]:
    """``tell`` is called before whatever the server does on SIGTERM and SIGINT."""
    previous: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        tell()
        if callable(previous[number]):
            previous[number](number, frame)

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if not callable(before):
                continue  # nobody's own: not ours to change
            previous[number] = before
            signal.signal(number, handle)
    except ValueError:  # not in the main thread, so no server with signals
        pass
    try:
        yield
    finally:
        for changed, handler in previous.items():
            if signal.getsignal(changed) is handle:
                signal.signal(changed, handler)
