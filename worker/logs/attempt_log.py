"""The log of one attempt, published while it runs and completed by the transaction that ends it."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from core import logs as service_logs
from core.errors import LeaseLost, Unavailable
from core.periodic import PeriodicThread
from core.store import logs
from core.store.attempts import Attempt
from core.store.database.fence import FencedSession
from core.store.logs import LogPublication, Stream
from worker.logs import segments
from worker.logs.line_buffer import TAIL_BYTES, LineBuffer
from worker.logs.line_cleaner import LineCleaner
from worker.logs.line_splitter import LineSplitter, RawLines
from worker.logs.segments import Segment

PUBLISH_SECONDS = 1.0
LIVE_BYTES = 256 * 2**10
"""How much of what comes after the head is published at a time. Of more, the newest."""


class AttemptLog:
    """Takes in lines at any speed, in bounded memory, and publishes those that there is room for.

    Between ``__enter__`` and ``__exit__`` it also takes in what this process logs about the
    attempt, and publishes about once a second, in a thread of its own. ``check`` is called before
    anything is published, and raises if nothing may be.
    """

    def __init__(self, attempt: Attempt, job_folder: Path, check: Callable[[], None]) -> None:
        self.attempt = attempt
        self.check = check
        self._buffer = LineBuffer()
        self._cleaner = LineCleaner(job_folder)
        self._segments: list[Segment] = []
        """As they are in the database."""
        self._splitters = {"stdout": LineSplitter(), "stderr": LineSplitter()}
        self._latest_note = ""
        self._begun_at = time.monotonic()
        self._stop = threading.Event()
        self._forwarding = ExitStack()
        self._thread = PeriodicThread(
            f"log-{attempt.job_id}",
            self.publish,
            PUBLISH_SECONDS,
            self._stop,
            failure="publishing the log failed unexpectedly; trying again",
        )

    def __enter__(self) -> "AttemptLog":
        attempt = self.attempt
        self._forwarding.enter_context(
            service_logs.forwarding(attempt.job_id, attempt.number, self.note)
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_thread()
        self._forwarding.close()

    def _stop_thread(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    # -- taking in

    def write(self, stream: Stream, data: bytes) -> None:
        """Take in what the trainer has written; nothing at the end of the stream."""
        splitter = self._splitters[stream]
        for lines in splitter.feed(data) if data else splitter.close():
            self._buffer.add(stream, self._now(), lines)

    def note(self, text: str) -> None:
        """Take in a supervisor's line, or several, unless they only repeat the one before."""
        if text == self._latest_note:
            return
        self._latest_note = text
        data = text.encode(errors="replace").rstrip(b"\n") + b"\n"
        self._buffer.add("supervisor", self._now(), RawLines(data, data.count(b"\n")))

    def _now(self) -> int:
        """Return the database's time, as counted by this machine since the attempt's start."""
        return self.attempt.started_at + round((time.monotonic() - self._begun_at) * 1000)

    # -- publishing

    def publish(self, limit_bytes: int = LIVE_BYTES) -> None:
        """Publish new lines, if that is possible now. They stay in the buffer if it is not.

        ``limit_bytes``: of what comes after the head.
        """
        publication, extended = self._prepare(limit_bytes)
        if publication is None:
            return
        try:
            self.check()
            with self.attempt.fenced_session(visible=False) as (session, _):
                logs.publish(session, self.attempt.job_id, self.attempt.number, publication)
        except Unavailable:
            return  # the supervisor tells of it
        except LeaseLost:
            self._stop.set()
            return
        self._segments = extended
        self._buffer.discard(publication.lines)

    def publish_rest(self) -> None:
        """Publish all lines that there is room for, and from now on only what ``complete`` does.

        To be called before the transaction that ends the attempt, which is to be short.
        """
        self._stop_thread()
        self.publish(TAIL_BYTES)

    def complete(self, session: FencedSession, note: str) -> None:
        """Publish what ``publish_rest`` could not, and a last line, in the caller's transaction.

        Where that fails, this may be called again.
        """
        self.note(note)
        publication, _ = self._prepare(TAIL_BYTES)
        if publication is not None:
            logs.publish(session, self.attempt.job_id, self.attempt.number, publication)

    def _prepare(self, limit_bytes: int) -> tuple[LogPublication | None, list[Segment]]:
        """Return what publishes the newest lines, and the segments that there are afterwards."""
        blocks = self._buffer.newest(limit_bytes)
        if not blocks:
            return None, self._segments
        before = {chunk.seq: chunk for chunk in segments.to_chunks(self._segments)}
        extended = segments.extend(self._segments, blocks, self._cleaner)
        after = {chunk.seq: chunk for chunk in segments.to_chunks(extended)}
        last = blocks[-1]
        publication = LogPublication(
            lines=last.seq + last.lines.line_count - 1,
            bytes=last.start + last.lines.size,
            chunks=[chunk for seq, chunk in after.items() if before.get(seq) != chunk],
            removed=[seq for seq in before if seq not in after],
        )
        return publication, extended
