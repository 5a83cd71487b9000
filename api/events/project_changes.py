"""Reads what changes in projects, once for all streams of this process, and publishes it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastapi.sse import format_sse_event
from sqlalchemy import Engine

from api.events.topics import Topics
from api.representation import project_events as representation
from core.store import project_events
from core.store.database.engine import read_session
from core.store.database.tables import ProjectEventRow
from core.store.project_events import LogState

MAX_EVENTS = 1000
"""Read at a time, over all projects; the others follow at once."""
END_OF_LOG = 2**62

Message = tuple[int, str, bytes]
"""Number, item type and text of the message of one event."""


@dataclass(frozen=True)
class ProjectUpdate:
    """The events of a project with numbers after ``after``, up to ``until``."""

    after: int
    until: int
    messages: Sequence[Message] | None
    """None: they were not read, and the streams read them by themselves."""
    _texts: dict[tuple[int, frozenset[str]], bytes] = field(default_factory=dict)

    def messages_after(self, seq: int, types: frozenset[str]) -> bytes | None:
        """Return what a stream lacks that stands at ``seq``; None where it has missed more."""
        if seq >= self.until:
            return b""
        if seq < self.after or self.messages is None:
            return None
        # Nearly all streams of a project stand at the same number and want the same types.
        if (seq, types) not in self._texts:
            self._texts[seq, types] = b"".join(
                text
                for number, item_type, text in self.messages
                if number > seq and item_type in types
            )
        return self._texts[seq, types]


@dataclass(frozen=True)
class Reading:
    """What was read of the log at once, for several projects."""

    after: int
    until: int
    project_ids: frozenset[str] = frozenset()
    """The projects whose events were read."""
    messages: Mapping[str | None, Sequence[Message]] = field(default_factory=dict)
    """By project; None: those for every project."""
    has_more: bool = False

    def update_of(self, project_id: str) -> ProjectUpdate:
        if project_id not in self.project_ids:
            return ProjectUpdate(self.after, self.until, None)
        own = self.messages.get(project_id, ())
        return ProjectUpdate(self.after, self.until, sorted([*own, *self.messages.get(None, ())]))


class ProjectChanges(Topics[ProjectUpdate]):
    """The subscriptions of projects, and how far the log has been read for them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.seq: int | None = None
        """Number of the last event that was read; None before the first."""

    def forget(self, topic: str) -> None:
        if not self.names:
            self.seq = None

    def read(self, project_ids: frozenset[str], seq: int | None) -> Reading:
        """Read what has happened in these projects since event ``seq``, in a thread.

        Raises Unavailable.
        """
        last_seq = log_state(self.engine, wait=False).last_seq
        if seq is None:
            return Reading(0, last_seq)
        if seq > last_seq:  # the database was restored from a backup: every stream begins anew
            return Reading(0, END_OF_LOG)
        if seq == last_seq:
            return Reading(seq, seq, project_ids)
        with read_session(self.engine) as session:
            rows = project_events.list_after(session, project_ids, seq, limit=MAX_EVENTS)
        messages: dict[str | None, list[Message]] = defaultdict(list)
        for row in rows:
            messages[row.project_id].append((number_of(row), row.item_type, event_message(row)))
        has_more = len(rows) == MAX_EVENTS
        return Reading(seq, end_of(rows, last_seq, has_more), project_ids, messages, has_more)

    def publish_all(self, reading: Reading) -> None:
        if not self.names or reading.until == self.seq:
            return
        self.seq = None if reading.until == END_OF_LOG else reading.until
        for project_id in self.names:
            self.publish(project_id, reading.update_of(project_id))


def log_state(engine: Engine, *, wait: bool) -> LogState:
    """Return how far the log reaches, after numbering what has been committed.

    ``wait``: include everything that was committed before this call; otherwise what another process
    is just numbering may be missing. Raises Unavailable.
    """
    with read_session(engine) as session:
        state = project_events.state(session)
    if not state.has_unnumbered:
        return state
    project_events.assign_numbers(engine, wait=wait)
    with read_session(engine) as session:
        return project_events.state(session)


def end_of(rows: Sequence[ProjectEventRow], last_seq: int, has_more: bool) -> int:
    """Return the number up to which ``rows`` are all there is.

    ``last_seq``: of the log before they were read.
    """
    if not rows:
        return last_seq
    return number_of(rows[-1]) if has_more else max(number_of(rows[-1]), last_seq)


def number_of(row: ProjectEventRow) -> int:
    """Return the number of a row that was read by its number."""
    return row.seq or 0


def event_message(row: ProjectEventRow) -> bytes:
    event = representation.project_event(row)
    return format_sse_event(id=str(event.seq), event=event.type, data_str=event.model_dump_json())
