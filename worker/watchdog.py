"""Ending a trainer that must end: because it was asked to, lost its lease, or makes no progress."""

import signal
import statistics
import threading
import time
from collections import deque

import structlog

from core.errors import JobFailed
from core.job_folder import Event, JobFolder, Progress, StopReason
from core.periodic import PeriodicThread
from core.settings import Settings
from worker.lease_keeper import CHECK_SECONDS, LeaseKeeper
from worker.trainer_process import TrainerProcess

STEP_WINDOW = 101
"""Number of the latest steps whose median duration counts."""
MEDIAN_STEPS = 10
MAX_GAP_SECONDS = 5.0
"""After a longer time between two checks this process itself was stopped, not the trainer."""
log = structlog.get_logger()


class Watchdog:
    """Watches a trainer between ``__enter__`` and ``__exit__``, in a thread of its own.

    The supervisor may be busy with a long upload meanwhile. ``failure``: why the trainer was ended
    if nobody asked for it.
    """

    def __init__(
        self, settings: Settings, folder: JobFolder, trainer: TrainerProcess, keeper: LeaseKeeper
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.trainer = trainer
        self.keeper = keeper
        self.failure: JobFailed | None = None
        self._hang_detector = HangDetector(folder, settings.hang_seconds)
        self._stop_requested_at: float | None = None
        self._stop = threading.Event()
        self._thread = PeriodicThread(
            f"watchdog-{folder.path.name}",
            self._check,
            CHECK_SECONDS,
            self._stop,
            failure="watching the trainer failed unexpectedly; trying again",
        )

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _check(self) -> None:
        if self.trainer.exit_status() is not None:
            return
        if self.keeper.lease_lost:
            self.trainer.send_signal(signal.SIGKILL)
            return
        if self.keeper.stop_reason is not None:
            self._stop_trainer(self.keeper.stop_reason)
        if self.failure is None and self._hang_detector.is_hanging():
            self._end_hanging_trainer()

    def _stop_trainer(self, reason: StopReason) -> None:
        """Ask the trainer to stop; send SIGTERM when its grace period is over, and then SIGKILL.

        The grace period of a cancelled job is shorter: no checkpoint need be written.
        """
        if self._stop_requested_at is None:
            self._stop_requested_at = time.monotonic()
            try:
                self.folder.request_stop(reason)
            except OSError:  # the disk is too full even for that
                self.trainer.send_signal(signal.SIGTERM)
        waited_seconds = time.monotonic() - self._stop_requested_at
        grace_seconds = self.settings.grace_seconds * (0.25 if reason == "cancel" else 1.0)
        if waited_seconds > grace_seconds * 1.25:
            self.trainer.send_signal(signal.SIGKILL)
        elif waited_seconds > grace_seconds:
            self.trainer.send_signal(signal.SIGTERM)

    def _end_hanging_trainer(self) -> None:
        silent_seconds = round(self._hang_detector.silent_seconds)
        message = (
            f"The trainer made no progress for {silent_seconds} s and was killed; its worker was "
            "healthy."
        )
        self.failure = JobFailed("trainer_hung", "timeout", message)
        log.warning("killing a hanging trainer", silent_seconds=silent_seconds)
        self.trainer.send_signal(signal.SIGKILL)


class HangDetector:
    """Measures how long a trainer has made no progress, by the events that it emits.

    It reads them in the job folder, so it does not matter whether they can be published.
    """

    def __init__(self, folder: JobFolder, hang_seconds: float) -> None:
        self.folder = folder
        self.hang_seconds = hang_seconds
        self.silent_seconds = 0.0
        self._offset = 0
        self._checked_at: float | None = None
        self._position: tuple[str, str | None, str | None, int] | None = None
        self._step_seconds: deque[float] = deque(maxlen=STEP_WINDOW)

    def is_hanging(self) -> bool:
        """Return whether the trainer has been silent for too long.

        To be called more often than every ``MAX_GAP_SECONDS``.
        """
        now = time.monotonic()
        if self._checked_at is not None:
            self.silent_seconds += min(now - self._checked_at, MAX_GAP_SECONDS)
        self._checked_at = now
        events, self._offset = self.folder.read_events(self._offset)
        for event in events:
            if self._is_progress(event):
                self.silent_seconds = 0.0
        return self.silent_seconds > self.max_silent_seconds()

    def max_silent_seconds(self) -> float:
        median = statistics.median(self._step_seconds) if self._step_seconds else 0.0
        return max(self.hang_seconds, MEDIAN_STEPS * median)

    def _is_progress(self, event: Event) -> bool:
        """Return False for a Progress event that repeats the position of the one before."""
        if not isinstance(event, Progress):
            return True
        # Evaluations count the steps of each measure anew, so the step alone is no position.
        position = (event.phase, event.network, event.measure, event.step)
        if position == self._position:
            return False
        if self._position is not None and self._position[:3] == position[:3]:
            steps = event.step - self._position[3]
            if steps > 0:
                self._step_seconds.append(self.silent_seconds / steps)
        self._position = position
        return True
