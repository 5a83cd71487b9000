"""Notices that logs have grown, with one query for all streams of this process."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from api.events.topics import Topics
from core.store import logs
from core.store.database.engine import read_session
from core.store.logs import LogState


class LogChanges(Topics[LogState]):
    """The subscriptions of the logs of jobs. An update says how far the logs reach now."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self._states: dict[str, LogState] = {}

    def forget(self, topic: str) -> None:
        self._states.pop(topic, None)

    def read(self, job_ids: Sequence[str]) -> dict[str, LogState]:
        """Read how far the logs reach, in a thread. Raises Unavailable."""
        with read_session(self.engine) as session:
            return logs.states(session, job_ids)

    def publish_all(self, states: Mapping[str, LogState]) -> None:
        for job_id, state in states.items():
            if job_id in self.names and self._states.get(job_id) != state:
                self._states[job_id] = state
                self.publish(job_id, state)
