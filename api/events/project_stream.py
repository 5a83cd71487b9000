"""Everything that changes in a project: replayed from an event's number, or from now on."""

from collections.abc import Sequence

from fastapi.sse import format_sse_event
from sqlalchemy import Engine

from api.events import server_sent_events
from api.events.project_changes import (
    ProjectUpdate,
    end_of,
    event_message,
    log_state,
)
from api.representation.project_events import ProjectEventPage, project_event
from core.store import project_events
from core.store.database.engine import read_session
from core.store.project_events import ItemType, LogState


class ProjectCursor:
    """A ``server_sent_events.Cursor`` of one project."""

    ended = False

    def __init__(
        self, engine: Engine, project_id: str, after: int | None, types: frozenset[ItemType]
    ) -> None:
        """``after``: number of the last event that the client has; None: begin with what happens
        from now on; 0: with the oldest that is kept. ``types``: those that the caller wants and may
        see.
        """
        self.engine = engine
        self.project_id = project_id
        self.seq = after
        self.types = types
        self.has_more = True

    def read(self) -> Sequence[bytes]:
        state = log_state(self.engine, wait=True)
        if self.seq is None:
            self._move_to(state.last_seq)
            return [self._position()]
        if is_lost(self.seq, state):
            self._move_to(state.last_seq)
            return [format_sse_event(id=str(self.seq), event="reset", data_str="{}")]
        limit = server_sent_events.BATCH_SIZE
        with read_session(self.engine) as session:
            rows = project_events.list_after(
                session, [self.project_id], self.seq, types=self.types, limit=limit
            )
        self.has_more = len(rows) == limit
        self.seq = end_of(rows, state.last_seq, self.has_more)
        return [event_message(row) for row in rows]

    def apply(self, update: ProjectUpdate) -> bytes | None:
        if self.seq is None:
            return None
        message = update.messages_after(self.seq, self.types)
        if message is not None:
            self.seq = max(self.seq, update.until)
        return message

    def keep_alive(self) -> bytes:
        # With the number: a client that gets no events for a day can still continue from here.
        return server_sent_events.KEEP_ALIVE if self.seq is None else self._position()

    def _move_to(self, seq: int) -> None:
        self.seq = seq
        self.has_more = False

    def _position(self) -> bytes:
        """Return a message without an event, which only tells the client how far it is."""
        return format_sse_event(comment="still here", id=str(self.seq))


def read_page(
    engine: Engine, project_id: str, after: int, types: frozenset[ItemType], limit: int
) -> ProjectEventPage:
    """Read one page of the project's events with numbers after ``after``. Raises Unavailable."""
    state = log_state(engine, wait=True)
    reset = is_lost(after, state)
    with read_session(engine) as session:
        rows = project_events.list_after(
            session, [project_id], 0 if reset else after, types=types, limit=limit + 1
        )
    has_more = len(rows) > limit
    position = end_of(rows[:limit], state.last_seq, has_more)
    return ProjectEventPage(
        data=[project_event(row) for row in rows[:limit]],
        has_more=has_more,
        next_cursor=str(position) if has_more else None,
        position=position,
        reset=reset,
    )


def is_lost(seq: int, state: LogState) -> bool:
    """Return whether events after ``seq`` may be missing: they were pruned, or never were here."""
    return 0 < seq < state.pruned_seq or seq > state.last_seq
