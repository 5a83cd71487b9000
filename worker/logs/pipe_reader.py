"""Reading a trainer's standard output and error, as fast as it writes them."""

import fcntl
import os
import selectors
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO

import structlog

from core.store.logs import Stream

READ_BYTES = 64 * 2**10
PIPE_BYTES = 256 * 2**10
"""What a trainer can write before this thread runs."""
POLL_SECONDS = 0.2
LAST_READ_SECONDS = 2.0
"""How long what is left in the pipes is read after the end of the trainer. A process that has left
its process group may go on writing."""
LAST_LINE_BYTES = 2000
log = structlog.get_logger()


class PipeReader(threading.Thread):
    """Reads pipes until they are closed. ``sink`` gets what was read, and b"" at a pipe's end."""

    def __init__(
        self, pipes: Mapping[Stream, IO[bytes]], sink: Callable[[Stream, bytes], None]
    ) -> None:
        super().__init__(name="trainer-output", daemon=True)
        self.pipes = pipes
        self.sink = sink
        self._end_of_stderr = b""
        self._deadline: float | None = None
        for pipe in pipes.values():
            os.set_blocking(pipe.fileno(), False)
            with suppress(AttributeError, OSError):  # Linux only, and up to the user's limit
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for stream, pipe in self.pipes.items():
                selector.register(pipe, selectors.EVENT_READ, stream)
            while selector.get_map() and not self._is_over():
                ready = {key.data: key for key, _ in selector.select(POLL_SECONDS)}
                # In this order: what was printed before a traceback comes before it here, too.
                for stream in self.pipes:
                    if stream in ready and not self._read(ready[stream].fd, stream):
                        selector.unregister(ready[stream].fileobj)
                if not ready and self._deadline is not None:
                    break
        for stream, pipe in self.pipes.items():
            self._send(stream, b"")
            pipe.close()

    def finish(self) -> None:
        """Read what is left, after the trainer's end."""
        self._deadline = time.monotonic() + LAST_READ_SECONDS
        self.join()

    def last_error_line(self) -> str:
        """Return the last line of standard error that is not empty; "" without any."""
        lines = self._end_of_stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _read(self, descriptor: int, stream: Stream) -> bool:
        """Read what is in a pipe; return False at its end."""
        for _ in range(PIPE_BYTES // READ_BYTES + 1):
            try:
                data = os.read(descriptor, READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            if stream == "stderr":
                self._end_of_stderr = (self._end_of_stderr + data)[-LAST_LINE_BYTES:]
            self._send(stream, data)
        return True

    def _send(self, stream: Stream, data: bytes) -> None:
        try:
            self.sink(stream, data)
        except Exception:  # the trainer must never wait for a pipe that nobody reads
            log.exception("a trainer's output could not be logged")
