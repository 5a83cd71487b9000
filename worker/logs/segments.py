"""The published part of a log: segments of consecutive lines, of which the middle makes room."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.store import logs
from core.store.logs import LogChunk, LogLine
from worker.logs.line_buffer import HEAD_BYTES, TAIL_BYTES, Block
from worker.logs.line_cleaner import LineCleaner

FULL_SEGMENT_BYTES = 16 * 2**10
"""A segment that has as many takes no more lines."""


@dataclass(frozen=True)
class Segment:
    """Consecutive lines, encoded, and where they were among all bytes that were written."""

    seq: int
    last_seq: int
    start: int
    end: int
    data: str
    size: int
    """Of ``data``, in bytes."""
    is_head: bool


def extend(
    segments: Sequence[Segment], blocks: Iterable[Block], cleaner: LineCleaner
) -> list[Segment]:
    """Return the segments with the lines of the blocks; the oldest of the tail make room."""
    extended = list(segments)
    for block in blocks:
        data = logs.encode(_lines(block, cleaner))
        last_seq = block.seq + block.lines.line_count - 1
        end = block.start + block.lines.size
        size = len(data.encode())
        last = extended[-1] if extended else None
        if last and last.last_seq + 1 == block.seq and last.size < FULL_SEGMENT_BYTES:
            extended[-1] = replace(
                last, last_seq=last_seq, end=end, data=last.data + data, size=last.size + size
            )
        else:
            is_head = sum(segment.size for segment in extended) < HEAD_BYTES
            extended.append(Segment(block.seq, last_seq, block.start, end, data, size, is_head))
    return _make_room(extended)


def to_chunks(segments: Sequence[Segment]) -> list[LogChunk]:
    """Return the segments as the database has them, each with what was left out before it."""
    if not segments:
        return []
    nothing = Segment(0, 0, 0, 0, "", 0, True)
    return [
        LogChunk(
            seq=segment.seq,
            last_seq=segment.last_seq,
            data=segment.data,
            omitted_lines=segment.seq - before.last_seq - 1,
            omitted_bytes=segment.start - before.end,
        )
        for before, segment in pairwise([nothing, *segments])
    ]


def _lines(block: Block, cleaner: LineCleaner) -> Iterator[LogLine]:
    raw_lines = block.lines.data.split(b"\n")[:-1]
    for seq, line in enumerate(raw_lines, block.seq):
        text = cleaner.clean(line, block.lines.dropped_bytes)
        yield LogLine(seq, block.at, block.stream, text)


def _make_room(segments: list[Segment]) -> list[Segment]:
    head = [segment for segment in segments if segment.is_head]
    tail = segments[len(head) :]
    size = sum(segment.size for segment in tail)
    first = 0
    while size > TAIL_BYTES and first < len(tail) - 1:
        size -= tail[first].size
        first += 1
    return head + tail[first:]
