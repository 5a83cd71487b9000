"""Logs of attempts as stored objects: written after an attempt's end, and read by callers.

An object is gzipped text of lines as ``core.store.logs`` encodes them, with a line in every place
where lines were left out. The object is stored before its row names it and the chunks are deleted,
and its key contains its hash: whoever else writes the same log writes the same object.
"""

import gzip
import hashlib
import io
from collections.abc import Collection

from sqlalchemy import Engine, select

from core.errors import CorruptObject, NotFound
from core.store import logs
from core.store.database.engine import read_session, transaction
from core.store.database.fence import FencedSession
from core.store.database.tables import AttemptRow, LogRow
from core.store.logs import LogLine
from core.store.objects.store import Objects, log_key

MAX_TEXT_BYTES = 16 * 2**20
"""Of an object, uncompressed; a worker writes much less."""


def read_lines(
    engine: Engine, objects: Objects, job_id: str, attempt: int, after: int = 0
) -> list[LogLine]:
    """Return every line of the attempt's log with a number greater than ``after``.

    Raises Unavailable, and CorruptObject.
    """
    with read_session(engine) as session:
        # Chunks before the row: if it names no object afterwards, then they were complete.
        chunks = logs.list_chunks(session, job_id, attempt, after)
        log = logs.get(session, job_id, attempt)
    if log is None or log.object_key is None:
        return list(logs.lines_after(chunks, after))
    if after >= log.lines:
        return []
    return [line for line in _read_object(objects, log) if line.seq > after]


def archive_ended(engine: Engine, objects: Objects, job_ids: Collection[str] | None = None) -> int:
    """Make objects of the logs of attempts that have ended; return their number.

    ``job_ids``: only of these jobs. Raises Unavailable.
    """
    conditions = [LogRow.object_key.is_(None), AttemptRow.ended_at.is_not(None)]
    if job_ids is not None:
        conditions.append(LogRow.job_id.in_(job_ids))
    statement = (
        select(LogRow.job_id, LogRow.attempt)
        .join(
            AttemptRow,
            (AttemptRow.job_id == LogRow.job_id) & (AttemptRow.number == LogRow.attempt),
        )
        .where(*conditions)
    )
    with read_session(engine) as session:
        ended = session.execute(statement).all()
    return sum(archive(engine, objects, job_id, attempt) for job_id, attempt in ended)


def archive(engine: Engine, objects: Objects, job_id: str, attempt: int) -> bool:
    """Make an object of one log whose attempt has ended; return False where there is none to make.

    Raises Unavailable.
    """
    with read_session(engine) as session:
        record = session.get(AttemptRow, (job_id, attempt))
        chunks = logs.list_chunks(session, job_id, attempt)
    if record is None or record.ended_at is None or not chunks:
        return False
    content = gzip.compress(logs.encode(logs.lines_after(chunks, 0)).encode(), mtime=0)
    sha256 = hashlib.sha256(content).hexdigest()
    key = log_key(job_id, attempt, sha256)
    objects.put_stream(key, iter([content]), len(content))
    # Nobody writes to the log of an attempt that has ended: the fence refuses its worker.
    with transaction(engine, FencedSession) as fenced_session:
        statement = select(LogRow).where(
            LogRow.job_id == job_id, LogRow.attempt == attempt, LogRow.object_key.is_(None)
        )
        log = fenced_session.scalars(statement.with_for_update(skip_locked=True)).one_or_none()
        if log is None:
            return False
        logs.replace_by_object(fenced_session, log, key, len(content), sha256)
    return True


def _read_object(objects: Objects, log: LogRow) -> list[LogLine]:
    assert log.object_key is not None
    try:
        content = b"".join(objects.open_verified(log.object_key, log.size or 0, log.sha256 or ""))
    except NotFound as error:
        raise CorruptObject(f"The stored log {log.object_key} is missing.") from error
    return logs.decode(_decompress(content).decode())


def _decompress(content: bytes) -> bytes:
    """Raises CorruptObject for more text than any worker writes."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        text = file.read(MAX_TEXT_BYTES + 1)
    if len(text) > MAX_TEXT_BYTES:
        raise CorruptObject("A stored log is longer than logs are.")
    return text
