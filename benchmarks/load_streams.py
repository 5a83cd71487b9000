"""L3: many event streams of one API process, one of them read by nobody for a while, and the API started anew under them all."""

import asyncio
import resource
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
from clients import HEADERS, quantile
from filling import JOB
from served import Database

from core.store import attempts, events, jobs
from core.store.attempts import Attempt
from core.store.database.engine import make_engine, writing
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from tests.servers import free_port

STREAMS, PER_JOB, EVENTS = 1000, 10, 40
"""Streams, those of each job, and the events that each job brings."""
FIRST = 20
"""What a process needs for its first streams it needs once; the others' memory is counted."""
PAUSE_SECONDS = 0.5
"""Between two events of one job."""
QUIET_SECONDS = 120.0
"""Longer without anything new is a failure of the benchmark."""


@dataclass
class Reader:
    """One caller: reads until its job's last event, and asks again from where it was when it is cut off."""

    address: tuple[str, int]
    job_id: str
    slow: bool = False
    seen: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    connections: int = 0

    async def read(self, may_read: asyncio.Event, opened: asyncio.Semaphore) -> None:
        while not await self._until_cut_off(may_read, opened):
            await asyncio.sleep(0.2)

    async def _until_cut_off(self, may_read: asyncio.Event, opened: asyncio.Semaphore) -> bool:
        """Whether the job's end was among what came."""
        last = f"Last-Event-ID: {self.seen[-1]}\r\n" if self.seen else ""
        request = (
            f"GET /v1/jobs/{self.job_id}/events HTTP/1.1\r\nHost: {self.address[0]}:{self.address[1]}\r\n"
            f"Authorization: {HEADERS['Authorization']}\r\nAccept: text/event-stream\r\n{last}\r\n"
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
                self.seen.append(int(line[4:]))
                self.at.append(time.time())
                if ended:
                    return True
        return False


def streams(database: Database, scale: float) -> dict[str, Any]:
    """How many events came, how late, what a stream costs in memory, and how long the API took to end under all of them."""
    count = max(2 * FIRST, round(STREAMS * scale))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * count + 200)), hard))
    engine = make_engine(database.url)
    held = []
    for _ in range(max(2, count // PER_JOB)):
        with writing(engine) as session:
            job_id = jobs.submit(session, DEFAULT_PROJECT, JOB, dataset_id=DIGITS_ID).id
        attempt = attempts.claim(engine, job_id, "worker", 3600)
        assert attempt is not None
        held.append(attempt)
    try:
        return asyncio.run(_run(database, held, count, max(8, round(EVENTS * min(1, scale * 10)))))
    finally:
        engine.dispose()


async def _run(database: Database, held: list[Attempt], count: int, each: int) -> dict[str, Any]:
    port = free_port()
    readers = [
        Reader(("127.0.0.1", port), held[n % len(held)].job_id, slow=n == 0) for n in range(count)
    ]
    said: dict[tuple[str, int], float] = {}
    may_read, opened, go_on = asyncio.Event(), asyncio.Semaphore(0), threading.Event()
    with database.api(port) as (_, api):
        reading, memory = [], []
        for batch in (readers[:FIRST], readers[FIRST:]):
            reading += [asyncio.create_task(reader.read(may_read, opened)) for reader in batch]
            for _ in batch:
                await asyncio.wait_for(opened.acquire(), QUIET_SECONDS)
            memory.append(psutil.Process(api.pid).memory_info().rss)
        writing_all = asyncio.create_task(asyncio.to_thread(_happen, held, each, said, go_on))
        while len(said) < len(held) * (each // 2):
            await asyncio.sleep(0.1)
        in_peace = time.time() - PAUSE_SECONDS
        api.send_signal(signal.SIGTERM)
        began = time.perf_counter()
        await asyncio.to_thread(api.wait, 60)
        end_seconds = time.perf_counter() - began
    with database.api(port):
        go_on.set()
        await writing_all
        may_read.set()
        await asyncio.wait_for(asyncio.gather(*reading), QUIET_SECONDS)
    wanted = {
        attempt.job_id: max(seq for job_id, seq in said if job_id == attempt.job_id)
        for attempt in held
    }
    missing = sum(
        len(set(range(1, wanted[reader.job_id] + 1)) - set(reader.seen)) for reader in readers
    )
    twice = sum(len(reader.seen) - len(set(reader.seen)) for reader in readers)
    late = [
        1000 * (at - said[reader.job_id, seq])
        for reader in readers
        if not reader.slow
        for seq, at in zip(reader.seen, reader.at, strict=True)
        if said.get((reader.job_id, seq), in_peace) < in_peace
    ]
    return {
        "streams": count,
        "jobs": len(held),
        "delivered": sum(len(reader.seen) for reader in readers),
        "missing": missing,
        "twice": twice,
        "bytes_per_stream": (memory[1] - memory[0]) / (count - FIRST),
        "seconds_from_sigterm_to_exit": end_seconds,
        "exit_status": api.returncode,
        "connections": sum(reader.connections for reader in readers),
        "late_ms": {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99)},
        "slow_reader_missed": len(
            set(range(1, wanted[readers[0].job_id] + 1)) - set(readers[0].seen)
        ),
    }


def _happen(
    held: list[Attempt], each: int, said: dict[tuple[str, int], float], go_on: threading.Event
) -> None:
    """Half of the events, with the first API; the rest when the second has come up, or while there is none."""
    for number in range(each):
        began = time.perf_counter()
        for attempt in held:
            with attempt.writing() as (session, job):
                seq = events.append(session, job, "note", {"message": f"number {number}"}).seq
            said[attempt.job_id, seq] = time.time()
        pause = PAUSE_SECONDS - (time.perf_counter() - began)
        if number >= each // 2 + 2:
            go_on.wait(QUIET_SECONDS)
        time.sleep(max(0.0, pause))
    for attempt in held:
        with attempt.writing() as (session, job):
            attempts.succeed(session, job)
            said[attempt.job_id, job.event_seq] = time.time()
