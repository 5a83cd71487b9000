"""The lines of a job's log as a stream: those of one attempt, or of one attempt after another."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from fastapi.sse import format_sse_event
from pydantic_core import to_json
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.events.server_sent_events import KEEP_ALIVE
from api.representation import attempts as representation
from core.jobspec.status import TERMINAL, Outcome, Status
from core.store import logs
from core.store.database.engine import read_session
from core.store.lifecycle import attempt_records
from core.store.logs import LogLine, LogState
from core.store.objects import log_archive
from core.store.objects.store import Objects

_EVENT_ID = re.compile(r"([0-9]{1,9}):([0-9]{1,15})")


class LogPosition(NamedTuple):
    """The last line that a client has: the id of its message is ``attempt:seq``."""

    attempt: int
    seq: int


class _Reach(NamedTuple):
    """What is known of a job before its lines are read."""

    status: Status
    attempt: int
    """Number of the attempt to read; 0 if there is none yet."""
    outcome: Outcome | None
    next_attempt: int | None


def parse_position(event_id: str | None) -> LogPosition | None:
    """Return the position of a Last-Event-ID; None where it is none."""
    match = _EVENT_ID.fullmatch(event_id or "")
    return None if match is None else LogPosition(int(match[1]), int(match[2]))


class LogCursor:
    """A ``server_sent_events.Cursor`` of a job's log.

    The caller must have checked that the job exists and belongs to the caller's project.
    """

    def __init__(
        self,
        engine: Engine,
        objects: Objects,
        job_id: str,
        position: LogPosition,
        *,
        only_attempt: bool,
        follow: bool,
    ) -> None:
        """``only_attempt``: end with the attempt, and not with the job."""
        self.engine = engine
        self.objects = objects
        self.job_id = job_id
        self.position = position
        self.only_attempt = only_attempt
        self.follow = follow
        self.has_more = True
        self.ended = False
        self._state: LogState | None = None

    def read(self) -> Sequence[bytes]:
        with read_session(self.engine) as session:
            self._state = logs.states(session, [self.job_id]).get(self.job_id)
            reach = None if self._state is None else self._reach(session, self._state.status)
        if reach is None:  # the job was removed
            self.ended = True
            return []
        # The lines after the outcome: a log of which it is known is complete.
        lines = log_archive.read_lines(
            self.engine, self.objects, self.job_id, reach.attempt, self.position.seq
        )
        messages = [_line_message(line, reach.attempt) for line in lines]
        if lines:
            self.position = LogPosition(reach.attempt, lines[-1].seq)
        self.has_more = reach.outcome is not None and reach.next_attempt is not None
        if self.has_more and reach.next_attempt is not None:
            self.position = LogPosition(reach.next_attempt, 0)
            return messages
        if self._is_over(reach) or not self.follow:
            self.ended = True
            messages.append(_end_message(reach))
        return messages

    def apply(self, update: LogState) -> bytes | None:
        return b"" if update == self._state else None

    def keep_alive(self) -> bytes:
        return KEEP_ALIVE

    def _reach(self, session: Session, status: Status) -> _Reach:
        first = max(self.position.attempt, 1)
        records = attempt_records.list_attempts(session, self.job_id, first - 1, limit=2)
        if not records:
            return _Reach(status, self.position.attempt, None, None)
        if records[0].number != self.position.attempt:
            self.position = LogPosition(records[0].number, 0)
        next_attempt = None
        if len(records) > 1 and not self.only_attempt:
            next_attempt = records[1].number
        return _Reach(status, records[0].number, records[0].outcome, next_attempt)

    def _is_over(self, reach: _Reach) -> bool:
        if self.only_attempt:
            return reach.outcome is not None
        return reach.status in TERMINAL


def _line_message(line: LogLine, attempt: int) -> bytes:
    data = representation.log_line(line, attempt).model_dump_json()
    return format_sse_event(id=f"{attempt}:{line.seq}", event="line", data_str=data)


def _end_message(reach: _Reach) -> bytes:
    data = {"attempt": reach.attempt or None, "outcome": reach.outcome, "status": reach.status}
    return format_sse_event(event="end", data_str=to_json(data).decode())
