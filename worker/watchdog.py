"""The second clock: not whether a trainer is alive, but whether it gets anywhere."""

import statistics
import time
from collections import deque

from core.job_folder import Event, JobFolder, Progress

STEPS_REMEMBERED = 101
MEDIAN_STEPS = 10
LONGEST_LOOK_SECONDS = 5.0
"""Time in which this process itself did not look is no silence of the trainer's."""


class HangDetector:
    """Reads what the trainer says, whether or not it can be published at the moment."""

    def __init__(self, folder: JobFolder, hang_seconds: float) -> None:
        self.folder, self.hang_seconds = folder, hang_seconds
        self.silent_seconds = 0.0
        self._offset = 0
        self._looked_at: float | None = None
        self._place: tuple[str, str | None, str | None, int] | None = None
        self._step_seconds: deque[float] = deque(maxlen=STEPS_REMEMBERED)

    def is_hanging(self) -> bool:
        """Whether the trainer has got nowhere for longer than it may. To be asked every second or so."""
        now = time.monotonic()
        if self._looked_at is not None:
            self.silent_seconds += min(now - self._looked_at, LONGEST_LOOK_SECONDS)
        self._looked_at = now
        said, self._offset = self.folder.read_events(self._offset)
        for event in said:
            if self._is_news(event):
                self.silent_seconds = 0.0
        return self.silent_seconds > self.max_silent_seconds()

    def max_silent_seconds(self) -> float:
        median = statistics.median(self._step_seconds) if self._step_seconds else 0.0
        return max(self.hang_seconds, MEDIAN_STEPS * median)

    def _is_news(self, event: Event) -> bool:
        """A trainer that repeats that it is where it was gets nowhere."""
        if not isinstance(event, Progress):
            return True
        place = (event.phase, event.network, event.measure, event.step)
        if place == self._place:
            return False
        if self._place is not None and self._place[:3] == place[:3] and event.step > self._place[3]:
            self._step_seconds.append(self.silent_seconds / (event.step - self._place[3]))
        self._place = place
        return True
