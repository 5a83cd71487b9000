"""Splitting what a process writes into lines, at the speed at which it writes."""

from collections.abc import Iterator
from typing import NamedTuple

MAX_RAW_LINE_BYTES = 8192
"""Of a longer line only so many bytes are kept. It is more than a log shows, so that a secret that
is not complete here can be left out."""


class RawLines(NamedTuple):
    """Complete lines, each with its newline."""

    data: bytes
    line_count: int
    dropped_bytes: int = 0
    """Of a single line that was too long to be kept."""

    @property
    def size(self) -> int:
        """In bytes, as they were written."""
        return len(self.data) + self.dropped_bytes

    def split(self, count: int) -> "Iterator[RawLines]":
        """Yield the same lines, at most ``count`` at a time."""
        if self.line_count <= count:
            yield self
            return
        lines = self.data.splitlines(keepends=True)
        for first in range(0, len(lines), count):
            part = lines[first : first + count]
            yield RawLines(b"".join(part), len(part))


class LineSplitter:
    """Splits one stream. A carriage return ends a line, too: progress bars write nothing else."""

    def __init__(self) -> None:
        self._partial = b""
        """The beginning of a line whose end has not come yet."""
        self._dropped_bytes = 0
        self._carriage_return = b""
        """The last byte, if it may be the first half of a line's end."""

    def feed(self, data: bytes) -> list[RawLines]:
        """Return the lines that ``data`` completes."""
        data = self._carriage_return + data
        self._carriage_return = b""
        if b"\r" in data:
            if data.endswith(b"\r"):
                data = data[:-1]
                self._carriage_return = b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n") + 1
        lines = self._complete(data[:end]) if end else []
        self._add_partial(data[end:])
        return lines

    def close(self) -> list[RawLines]:
        """Return the last line, if it has no end."""
        if not self._partial and not self._carriage_return:
            return []
        return self._complete(b"\n")

    def _complete(self, data: bytes) -> list[RawLines]:
        lines = []
        if self._dropped_bytes:
            first_end = data.index(b"\n")
            dropped_bytes = self._dropped_bytes + first_end
            lines.append(RawLines(self._partial + b"\n", 1, dropped_bytes))
            data = data[first_end + 1 :]
        else:
            data = self._partial + data
        self._partial = b""
        self._dropped_bytes = 0
        if data:
            lines.append(RawLines(data, data.count(b"\n")))
        return lines

    def _add_partial(self, data: bytes) -> None:
        room = MAX_RAW_LINE_BYTES - len(self._partial)
        self._partial += data[:room]
        self._dropped_bytes += max(0, len(data) - room)
