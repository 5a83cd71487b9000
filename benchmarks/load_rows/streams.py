"""L3: many event streams of one API process, which is restarted; one client is slow."""

import asyncio
import resource
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
from database_filler import JOB
from http_clients import HEADERS, quantile
from service_processes import Database

from core.store import attempts, events, jobs
from core.store.attempts import Attempt
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from tests.servers import free_port

STREAMS = 1000
STREAMS_PER_JOB = 10
EVENTS_PER_JOB = 40
WARM_UP_STREAMS = 20
"""Opened before memory is measured: the first streams need what a process needs once."""
PAUSE_SECONDS = 0.5
"""Between two events of one job."""
QUIET_SECONDS = 120.0
"""The benchmark fails when nothing arrives for so long."""


@dataclass
class Reader:
    """One client: reads until its job's last event; reconnects where it was cut off."""

    address: tuple[str, int]
    job_id: str
    slow: bool = False
    event_ids: list[int] = field(default_factory=list)
    received_at: list[float] = field(default_factory=list)
    connections: int = 0

    async def read(self, may_read: asyncio.Event, opened: asyncio.Semaphore) -> None:
        while not await self._read_until_cut_off(may_read, opened):
            await asyncio.sleep(0.2)

    async def _read_until_cut_off(self, may_read: asyncio.Event, opened: asyncio.Semaphore) -> bool:
        """Whether the job's last event was received."""
        resume = f"Last-Event-ID: {self.event_ids[-1]}\r\n" if self.event_ids else ""
        request = (
            f"GET /v1/jobs/{self.job_id}/events HTTP/1.1\r\n"
            f"Host: {self.address[0]}:{self.address[1]}\r\n"
            f"Authorization: {HEADERS['Authorization']}\r\n"
            f"Accept: text/event-stream\r\n{resume}\r\n"
        )
        try:
            reader, writer = await asyncio.open_connection(*self.address, limit=2**16)
        except OSError:
            return False
        self.connections += 1
        ended = False
        try:
            writer.write(request.encode())
            if not self.slow:
                ended = await self._follow(reader, opened)
            else:
                opened.release()
                await may_read.wait()
                ended = await self._follow(reader, None)
        except OSError:
            pass
        finally:
            writer.close()
        return ended

    async def _follow(self, reader: asyncio.StreamReader, opened: asyncio.Semaphore | None) -> bool:
        ended = False
        async for line in reader:
            if opened is not None and line.startswith(b"retry:"):
                opened.release()
            ended |= b'"to":"succeeded"' in line
            if line.startswith(b"id: "):
                self.event_ids.append(int(line[4:]))
                self.received_at.append(time.time())
                if ended:
                    return True
        return False


def streams(database: Database, scale: float) -> dict[str, Any]:
    """Events delivered and their delay, memory per stream, and how long the API takes to exit."""
    count = max(2 * WARM_UP_STREAMS, round(STREAMS * scale))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * count + 200)), hard))
    engine = make_engine(database.url)
    claimed = []
    for _ in range(max(2, count // STREAMS_PER_JOB)):
        with write_session(engine) as session:
            jobs.submit(session, DEFAULT_PROJECT, JOB, dataset_id=DIGITS_ID)
        attempt = attempts.claim(engine, "worker", 3600)
        assert attempt is not None
        claimed.append(attempt)
    events_per_job = max(8, round(EVENTS_PER_JOB * min(1, scale * 10)))
    try:
        return asyncio.run(_run(database, claimed, count, events_per_job))
    finally:
        engine.dispose()


async def _run(
    database: Database, claimed: list[Attempt], count: int, events_per_job: int
) -> dict[str, Any]:
    port = free_port()
    readers = [
        Reader(("127.0.0.1", port), claimed[n % len(claimed)].job_id, slow=n == 0)
        for n in range(count)
    ]
    may_read = asyncio.Event()
    publisher = _Publisher(claimed, events_per_job)
    with database.api(port) as (_, api):
        reading, rss = await _open_streams(readers, may_read, api.pid)
        publishing = asyncio.create_task(asyncio.to_thread(publisher.run))
        while len(publisher.published_at) < len(claimed) * (events_per_job // 2):
            await asyncio.sleep(0.1)
        undisturbed_until = time.time() - PAUSE_SECONDS
        api.send_signal(signal.SIGTERM)
        start = time.perf_counter()
        await asyncio.to_thread(api.wait, 60)
        exit_seconds = time.perf_counter() - start
    with database.api(port):
        publisher.restarted.set()
        await publishing
        may_read.set()
        await asyncio.wait_for(asyncio.gather(*reading), QUIET_SECONDS)
    return _summarize(readers, publisher, undisturbed_until) | {
        "bytes_per_stream": (rss[1] - rss[0]) / (count - WARM_UP_STREAMS),
        "seconds_from_sigterm_to_exit": exit_seconds,
        "exit_status": api.returncode,
    }


async def _open_streams(
    readers: list[Reader], may_read: asyncio.Event, pid: int
) -> tuple[list[asyncio.Task[None]], list[int]]:
    """The readers' tasks, and the API's memory with the warm-up streams and with all streams."""
    opened = asyncio.Semaphore(0)
    tasks = []
    rss = []
    for batch in (readers[:WARM_UP_STREAMS], readers[WARM_UP_STREAMS:]):
        tasks += [asyncio.create_task(reader.read(may_read, opened)) for reader in batch]
        for _ in batch:
            await asyncio.wait_for(opened.acquire(), QUIET_SECONDS)
        rss.append(psutil.Process(pid).memory_info().rss)
    return tasks, rss


def _summarize(
    readers: list[Reader], publisher: "_Publisher", undisturbed_until: float
) -> dict[str, Any]:
    """Events delivered, missing and doubled; the delay of those published before the restart."""
    published_at = publisher.published_at
    missing = [
        len(publisher.event_ids(reader.job_id) - set(reader.event_ids)) for reader in readers
    ]
    delays_ms = [
        1000 * (received_at - published_at[reader.job_id, seq])
        for reader in readers
        if not reader.slow
        for seq, received_at in zip(reader.event_ids, reader.received_at, strict=True)
        if published_at.get((reader.job_id, seq), undisturbed_until) < undisturbed_until
    ]
    return {
        "streams": len(readers),
        "jobs": len(publisher.claimed),
        "delivered": sum(len(reader.event_ids) for reader in readers),
        "missing": sum(missing),
        "twice": sum(len(reader.event_ids) - len(set(reader.event_ids)) for reader in readers),
        "connections": sum(reader.connections for reader in readers),
        "late_ms": {"p50": quantile(delays_ms, 0.5), "p99": quantile(delays_ms, 0.99)},
        "slow_reader_missed": missing[0],
    }


class _Publisher:
    """Publishes events of all jobs, pausing in the middle until the API has been restarted."""

    def __init__(self, claimed: list[Attempt], events_per_job: int) -> None:
        self.claimed = claimed
        self.events_per_job = events_per_job
        self.published_at: dict[tuple[str, int], float] = {}
        self.restarted = threading.Event()

    def event_ids(self, job_id: str) -> set[int]:
        """All of a job's event ids: they count from 1 without gaps."""
        last = max(seq for published_id, seq in self.published_at if published_id == job_id)
        return set(range(1, last + 1))

    def run(self) -> None:
        """Publish half of the events, two more during the restart, then the rest."""
        for number in range(self.events_per_job):
            start = time.perf_counter()
            for attempt in self.claimed:
                with attempt.fenced_session() as (session, job):
                    seq = events.append(session, job, "note", {"message": f"number {number}"}).seq
                self.published_at[attempt.job_id, seq] = time.time()
            pause = PAUSE_SECONDS - (time.perf_counter() - start)
            if number >= self.events_per_job // 2 + 2:
                self.restarted.wait(QUIET_SECONDS)
            time.sleep(max(0.0, pause))
        for attempt in self.claimed:
            with attempt.fenced_session() as (session, job):
                attempts.succeed(session, job)
                self.published_at[attempt.job_id, job.event_seq] = time.time()
