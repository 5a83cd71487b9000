"""Attempts at a job and the lines of their logs, as response bodies."""

from api.representation.schemas import Failure, ResponseBody, Time
from core.jobspec.failure_advice import advice_for
from core.jobspec.status import Outcome
from core.store.database.tables import AttemptRow, LogRow
from core.store.logs import LogLine, Stream


class LogSummary(ResponseBody):
    """The size of a log, of which very long ones lack the middle."""

    lines: int
    """Number of lines that were written."""
    bytes: int
    """Number of bytes that were written."""


class AttemptResponse(ResponseBody):
    number: int
    worker: str | None
    """Null for most attempts before version 0.2."""
    started_at: Time
    ended_at: Time | None
    outcome: Outcome | None
    """Null while it goes on. failed: also where the job was tried again; released: its worker was
    shut down; lost: its worker did not renew the lease."""
    failure: Failure | None
    """What went wrong in it, whether or not the job was tried again."""
    log: LogSummary | None
    """Null where nothing was written."""


class LogLineResponse(ResponseBody):
    """One line. Where numbers are missing, lines were left out; a supervisor's line counts them."""

    seq: int
    """Number of the line in its attempt, from 1."""
    at: Time
    stream: Stream
    """stdout and stderr of the trainer; supervisor: what its worker noted about the attempt."""
    text: str
    """Without secrets. Control characters are shown, and long lines are cut."""
    attempt: int


def attempt(row: AttemptRow, log: LogRow | None) -> AttemptResponse:
    failure = None
    if row.failure is not None:
        failure = Failure(**row.failure, attempt=row.number, advice=advice_for(row.failure["code"]))
    return AttemptResponse(
        number=row.number,
        worker=row.worker,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        failure=failure,
        log=None if log is None else LogSummary(lines=log.lines, bytes=log.bytes),
    )


def log_line(line: LogLine, attempt: int) -> LogLineResponse:
    return LogLineResponse(
        seq=line.seq, at=line.at, stream=line.stream, text=line.text, attempt=attempt
    )
