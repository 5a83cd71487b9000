"""Progress of an import, and its early end: on request, or after too long a time."""

import time
from collections.abc import Callable

from core.errors import JobFailed
from core.job_folder import JobFolder, Progress

REPORT_SECONDS = 1.0


class ImportStopped(Exception):
    """Raised by ImportProgress in an import that was asked to stop."""


class ImportProgress:
    """A callback that an import calls with completed and total work, in any unit and at any rate.

    About once a second it emits a progress event, and raises ImportStopped if the job was asked to
    stop, or JobFailed (timeout) after ``seconds``.
    """

    def __init__(self, folder: JobFolder, stop: Callable[[], bool], seconds: float) -> None:
        self.folder = folder
        self.stop = stop
        self.seconds = seconds
        self.started_at = time.monotonic()
        self.reported_at = self.started_at

    def __call__(self, completed: int, total: int) -> None:
        now = time.monotonic()
        if now - self.reported_at < REPORT_SECONDS:
            return
        self.reported_at = now
        if self.stop():
            raise ImportStopped
        if now - self.started_at > self.seconds:
            message = f"The import was not finished after {self.seconds:g} seconds."
            raise JobFailed("timeout", "timeout", message)
        self.folder.emit(Progress(phase="preparing", step=completed, of=total))
