"""How far an import is, and where it ends early: on request, or because it takes too long."""

import time
from collections.abc import Callable

from core.errors import JobFailed
from core.job_folder import JobFolder, Progress

REPORT_SECONDS = 1.0


class ImportStopped(Exception):
    """Raised out of an import that was asked to stop."""


class ImportProgress:
    """Called with so much of so much, in any unit, as often as one likes; once a second it says so and looks around.

    Raises Stopped on request, JobFailed (timeout) after ``seconds``.
    """

    def __init__(self, folder: JobFolder, stop: Callable[[], bool], seconds: float) -> None:
        self.folder, self.stop, self.seconds = folder, stop, seconds
        self.began = self._looked = time.monotonic()

    def __call__(self, step: int, of: int) -> None:
        now = time.monotonic()
        if now - self._looked < REPORT_SECONDS:
            return
        self._looked = now
        if self.stop():
            raise ImportStopped
        if now - self.began > self.seconds:
            raise JobFailed(
                "timeout", "timeout", f"The import was not done after {self.seconds:g} seconds."
            )
        self.folder.emit(Progress(phase="preparing", step=step, of=of))
