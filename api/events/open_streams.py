"""All streams of this process: what reads for them, and what ends them."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

import structlog
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Engine

from api.events.job_changes import JobChanges
from api.events.log_changes import LogChanges
from api.events.project_changes import ProjectChanges
from core.errors import DistillError
from core.store.access import credentials
from core.store.database.engine import read_session

POLL_SECONDS = 0.3
CREDENTIAL_SECONDS = 2.0
"""Between two checks of the credentials of all open streams."""
READER_THREADS = 8
"""For streams only: a thousand streams must not take the threads that other requests need."""
POLLING_THREADS = 4
"""One for each task of ``run``, so that none waits for streams that read by themselves."""
log = structlog.get_logger()


class OpenStreams:
    """The streams of jobs, logs and projects, and the tasks that serve all of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.jobs = JobChanges(engine)
        self.logs = LogChanges(engine)
        self.projects = ProjectChanges(engine)
        self.threads = CapacityLimiter(READER_THREADS)
        self._polling_threads = CapacityLimiter(POLLING_THREADS)

    @property
    def count(self) -> int:
        return sum(1 for topics in self._topics for _ in topics)

    @property
    def _topics(self) -> tuple[JobChanges | LogChanges | ProjectChanges, ...]:
        return (self.jobs, self.logs, self.projects)

    def close(self) -> None:
        """End every stream."""
        for topics in self._topics:
            topics.close()

    async def run(self) -> None:
        """Read for the streams, and check their credentials, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_repeat(self._poll_jobs, POLL_SECONDS))
            group.create_task(_repeat(self._poll_logs, POLL_SECONDS))
            group.create_task(_repeat(self._poll_projects, POLL_SECONDS))
            group.create_task(_repeat(self._check_credentials, CREDENTIAL_SECONDS))

    async def _poll_jobs(self) -> None:
        positions = self.jobs.positions()
        if positions:
            self.jobs.publish_all(await self._in_thread(self.jobs.read, positions))

    async def _poll_logs(self) -> None:
        job_ids = self.logs.names
        if job_ids:
            self.logs.publish_all(await self._in_thread(self.logs.read, job_ids))

    async def _poll_projects(self) -> None:
        has_more = bool(self.projects.names)
        while has_more:
            project_ids = frozenset(self.projects.names)
            reading = await self._in_thread(self.projects.read, project_ids, self.projects.seq)
            self.projects.publish_all(reading)
            has_more = reading.has_more

    async def _check_credentials(self) -> None:
        """End the streams whose API key was revoked, or whose session has ended."""
        subscriptions = [subscription for topics in self._topics for subscription in topics]
        ids = {subscription.credential_id for subscription in subscriptions}
        if not ids:
            return
        valid = await self._in_thread(self._valid_credentials, ids)
        for subscription in subscriptions:
            if subscription.credential_id not in valid:
                subscription.end()

    def _valid_credentials(self, ids: set[str]) -> set[str]:
        with read_session(self.engine) as session:
            return credentials.valid(session, ids)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await to_thread.run_sync(function, *arguments, limiter=self._polling_threads)


async def _repeat(action: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Call ``action`` until cancelled. A failure is logged and followed by the next call."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await action()
        except DistillError as error:
            log.warning("reading for streams failed; trying again", error=str(error))
        except Exception:  # without this task every stream would fall silent
            log.exception("reading for streams failed; trying again")


@contextlib.asynccontextmanager
async def serving(streams: OpenStreams) -> AsyncIterator[None]:
    """Serve the streams within the block.

    A termination signal closes them at once: the server tells the application to shut down only
    after all open responses, and so all streams, have ended.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(streams.run())
    with _on_termination(lambda: loop.call_soon_threadsafe(streams.close)):
        try:
            yield
        finally:
            streams.close()
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
