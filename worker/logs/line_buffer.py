"""Lines that are not published yet: all of the head, and of the rest the newest."""

import threading
from collections import deque
from typing import NamedTuple

from core.store.logs import Stream
from worker.logs.line_splitter import RawLines

HEAD_BYTES = 2**20
TAIL_BYTES = 2**20
"""How much stays of the beginning and of the end of a log."""
LINE_COST_BYTES = 48
"""What a line costs beside its text: its number, its time, its stream."""
BLOCK_LINES = 2000


class Block(NamedTuple):
    """Lines that one read has brought."""

    seq: int
    """Number of the first line."""
    start: int
    """Number of bytes that were written before it."""
    at: int
    stream: Stream
    lines: RawLines

    @property
    def cost(self) -> int:
        return len(self.lines.data) + LINE_COST_BYTES * self.lines.line_count


class LineBuffer:
    """Numbers the lines of all streams of an attempt. Threads may add and read at any time.

    ``line_count`` and ``byte_count``: of everything that was ever added.
    """

    def __init__(self) -> None:
        self.line_count = 0
        self.byte_count = 0
        self._head: deque[Block] = deque()
        self._head_cost = 0
        """Of all blocks that ever were in the head."""
        self._tail: deque[Block] = deque()
        self._tail_cost = 0
        self._lock = threading.Lock()

    def add(self, stream: Stream, at: int, lines: RawLines) -> None:
        for part in lines.split(BLOCK_LINES):
            self._add(stream, at, part)

    def _add(self, stream: Stream, at: int, lines: RawLines) -> None:
        with self._lock:
            block = Block(self.line_count + 1, self.byte_count, at, stream, lines)
            self.line_count += lines.line_count
            self.byte_count += lines.size
            if self._head_cost < HEAD_BYTES:
                self._head.append(block)
                self._head_cost += block.cost
                return
            self._tail.append(block)
            self._tail_cost += block.cost
            while self._tail_cost > TAIL_BYTES and len(self._tail) > 1:
                self._tail_cost -= self._tail.popleft().cost

    def newest(self, limit_bytes: int) -> list[Block]:
        """Return all blocks of the head, and of the others the newest, in order.

        ``limit_bytes``: of the others; at least one of them is returned.
        """
        with self._lock:
            blocks: list[Block] = []
            for block in reversed(self._tail):
                limit_bytes -= block.cost
                if blocks and limit_bytes < 0:
                    break
                blocks.append(block)
            return [*self._head, *reversed(blocks)]

    def discard(self, last_seq: int) -> None:
        """Forget the blocks of lines up to this number."""
        with self._lock:
            for blocks in (self._head, self._tail):
                while blocks and blocks[0].seq <= last_seq:
                    block = blocks.popleft()
                    if blocks is self._tail:
                        self._tail_cost -= block.cost
