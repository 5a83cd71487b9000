"""The log of each attempt: what its trainer printed and what its supervisor noted, line by line.

While an attempt runs, and for a moment afterwards, its lines are chunks in the database: a head,
and a tail whose oldest chunks make room for new ones. Then they become one object
(``core.store.objects.log_archive``). Lines are numbered from 1 over all streams of an attempt;
where numbers are missing, lines were left out.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from core.jobspec.status import Status
from core.store.database.fence import FencedSession
from core.store.database.tables import AttemptRow, JobRow, LogChunkRow, LogRow
from core.store.database.upsert import insert

Stream = Literal["stdout", "stderr", "supervisor"]
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class LogLine(NamedTuple):
    """One line. ``at``: in milliseconds since the epoch, by the database's clock."""

    seq: int
    at: int
    stream: Stream
    text: str


@dataclass(frozen=True)
class LogChunk:
    """Consecutive lines, encoded; ``omitted_…``: what was left out right before the first."""

    seq: int
    last_seq: int
    data: str
    omitted_lines: int = 0
    omitted_bytes: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data.encode())

    def lines(self) -> Iterator[LogLine]:
        """Yield a line that says what was left out, if anything was, and then the lines."""
        decoded = decode(self.data)
        if self.omitted_lines:
            yield omission(self.seq - 1, decoded[0].at, self.omitted_lines, self.omitted_bytes)
        yield from decoded


@dataclass(frozen=True)
class LogPublication:
    """A change of a log. ``lines``, ``bytes``: how many were written altogether.

    ``chunks`` are inserted, or replace those of the same ``seq``.
    """

    lines: int
    bytes: int
    chunks: Sequence[LogChunk]
    removed: Sequence[int]
    """``seq`` of each chunk that makes room."""


def encode(lines: Iterable[LogLine]) -> str:
    """Return a JSON array per line: number, time, stream, text."""
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def decode(data: str) -> list[LogLine]:
    return [LogLine(*json.loads(line)) for line in data.split("\n") if line]


def omission(seq: int, at: int, lines: int, size: int) -> LogLine:
    """Return the line that stands for lines that were left out; ``seq``: of the last of them."""
    noun = "line" if lines == 1 else "lines"
    return LogLine(seq, at, "supervisor", f"… {lines:,} {noun}, {format_size(size)} left out")


def format_size(size: float) -> str:
    """Return a number of bytes with its unit: 999 bytes, 1.5 kB, 1.2 GB."""
    unit = 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:,.0f} {_UNITS[unit]}" if unit == 0 else f"{size:,.1f} {_UNITS[unit]}"


# -- writing


def publish(session: FencedSession, job_id: str, attempt: int, publication: LogPublication) -> None:
    """Apply a change to the attempt's log."""
    statement = insert(session, LogRow).values(
        job_id=job_id, attempt=attempt, lines=publication.lines, bytes=publication.bytes
    )
    counts = {"lines": statement.excluded.lines, "bytes": statement.excluded.bytes}
    session.execute(
        statement.on_conflict_do_update(index_elements=["job_id", "attempt"], set_=counts)
    )
    if publication.removed:
        session.execute(
            delete(LogChunkRow).where(
                *_is_of(job_id, attempt), LogChunkRow.seq.in_(publication.removed)
            )
        )
    for chunk in publication.chunks:
        _save_chunk(session, job_id, attempt, chunk)


def _save_chunk(session: FencedSession, job_id: str, attempt: int, chunk: LogChunk) -> None:
    columns = {
        "last_seq": chunk.last_seq,
        "omitted_lines": chunk.omitted_lines,
        "omitted_bytes": chunk.omitted_bytes,
        "data": chunk.data,
    }
    statement = insert(session, LogChunkRow).values(
        job_id=job_id, attempt=attempt, seq=chunk.seq, **columns
    )
    session.execute(
        statement.on_conflict_do_update(index_elements=["job_id", "attempt", "seq"], set_=columns)
    )


def replace_by_object(
    session: FencedSession, log: LogRow, object_key: str, size: int, sha256: str
) -> None:
    """Name the object that holds all lines of a log, and delete its chunks."""
    log.object_key = object_key
    log.size = size
    log.sha256 = sha256
    session.execute(delete(LogChunkRow).where(*_is_of(log.job_id, log.attempt)))


# -- reading


class LogState(NamedTuple):
    """How far a job's logs reach."""

    status: Status
    """Of the job."""
    attempt: int
    """Number of the newest attempt; 0 before the first."""
    ended: bool
    """Whether that attempt has ended."""
    lines: int
    """Number of its last line."""


def states(session: Session, job_ids: Collection[str]) -> dict[str, LogState]:
    """Return how far the logs of these jobs reach, of any project.

    For streams, whose callers were authorized when the stream began.
    """
    is_newest = and_(AttemptRow.job_id == JobRow.id, AttemptRow.number == JobRow.attempt)
    is_its_log = and_(LogRow.job_id == JobRow.id, LogRow.attempt == JobRow.attempt)
    statement = (
        select(
            JobRow.id,
            JobRow.status,
            func.coalesce(AttemptRow.number, 0),
            AttemptRow.ended_at.is_not(None),
            func.coalesce(LogRow.lines, 0),
        )
        .outerjoin(AttemptRow, is_newest)
        .outerjoin(LogRow, is_its_log)
        .where(JobRow.id.in_(job_ids))
    )
    return {
        job_id: LogState(status, attempt, ended, lines)
        for job_id, status, attempt, ended, lines in session.execute(statement)
    }


def get(session: Session, job_id: str, attempt: int) -> LogRow | None:
    """Return the attempt's log; None where nothing was written yet."""
    return session.get(LogRow, (job_id, attempt), populate_existing=True)


def by_attempt(session: Session, job_id: str, attempts: Sequence[int]) -> dict[int, LogRow]:
    """Return the logs of these attempts of a job, by attempt."""
    statement = select(LogRow).where(LogRow.job_id == job_id, LogRow.attempt.in_(attempts))
    return {row.attempt: row for row in session.scalars(statement)}


def list_chunks(session: Session, job_id: str, attempt: int, after: int = 0) -> list[LogChunk]:
    """Return the chunks that have lines with numbers greater than ``after``, in order."""
    statement = (
        select(LogChunkRow)
        .where(*_is_of(job_id, attempt), LogChunkRow.last_seq > after)
        .order_by(LogChunkRow.seq)
    )
    return [
        LogChunk(row.seq, row.last_seq, row.data, row.omitted_lines, row.omitted_bytes)
        for row in session.scalars(statement)
    ]


def lines_after(chunks: Iterable[LogChunk], seq: int) -> Iterator[LogLine]:
    """Yield the lines of these chunks with numbers greater than ``seq``, each once.

    Chunks overlap where a transaction was repeated of which its worker did not know that it had
    been committed.
    """
    for chunk in chunks:
        for line in chunk.lines():
            if line.seq > seq:
                seq = line.seq
                yield line


def _is_of(job_id: str, attempt: int) -> tuple[ColumnElement[bool], ...]:
    return LogChunkRow.job_id == job_id, LogChunkRow.attempt == attempt
