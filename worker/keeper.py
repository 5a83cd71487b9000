"""Holding on to a job from claim to conclusion, in a thread of its own: whatever else takes long, the lease is kept,
and a request to stop is heard and carried out.
"""

import signal
import threading
import time

import structlog

from core.errors import LeaseLost, NotFound, Unavailable
from core.folder import JobFolder, StopReason
from core.settings import Settings
from core.store import jobs
from core.store.attempts import Attempt
from core.store.engine import reading
from core.store.tables import Job
from worker.trainer_process import TrainerProcess

LOOK_SECONDS = 0.2
STATUS_SECONDS = 1.0
log = structlog.get_logger()


class Stopping(Exception):
    """Raised out of a preparation that need not go on: the job is to be cancelled or given back."""


class Keeper:
    """``asked``: why the trainer is to stop, if it is. ``lost``: the job belongs to somebody else."""

    def __init__(self, settings: Settings, attempt: Attempt, folder: JobFolder, shutdown: threading.Event) -> None:
        self.settings, self.attempt, self.folder, self.shutdown = settings, attempt, folder, shutdown
        self.asked: StopReason | None = None
        self.lost = False
        self.trainer: TrainerProcess | None = None
        self._told_at: float | None = None
        self._next_status = self._next_heartbeat = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper-{attempt.job_id}", daemon=True)

    def __enter__(self) -> "Keeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def check(self) -> None:
        """Raises LeaseLost or Stopping where it is of no use to go on preparing."""
        if self.lost:
            raise LeaseLost("the lease was lost")
        if self.asked is not None:
            raise Stopping

    def _keep(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            try:
                self._beat()
            except Unavailable:
                log.warning("the database cannot be reached; training goes on")
            except (LeaseLost, NotFound):
                self._lose()
                return
            if self.shutdown.is_set() and self.asked is None:
                self.asked = "release"
            self._stop_trainer()

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._obey(self.attempt.renew())
            self._next_heartbeat, self._next_status = now + self.settings.heartbeat_seconds, now + STATUS_SECONDS
        elif now >= self._next_status:
            with reading(self.attempt.engine) as session:
                self._obey(jobs.get(session, self.attempt.project_id, self.attempt.job_id))
            self._next_status = now + STATUS_SECONDS

    def _obey(self, job: Job) -> None:
        """A cancel outweighs a release."""
        if job.status == "cancelling":
            self.asked = "cancel"

    def _lose(self) -> None:
        self.lost = True
        if self.trainer is not None:
            self.trainer.send(signal.SIGKILL)

    def _stop_trainer(self) -> None:
        """First kindly, then by SIGTERM, then by SIGKILL. A cancelled job has no checkpoint to wait for."""
        if self.asked is None or self.trainer is None or self.trainer.exit_status() is not None:
            return
        if self._told_at is None:
            self.folder.ask_to_stop(self.asked)
            self._told_at = time.monotonic()
        waited = time.monotonic() - self._told_at
        patience = self.settings.grace_seconds * (0.25 if self.asked == "cancel" else 1.0)
        if waited > patience * 1.25:
            self.trainer.send(signal.SIGKILL)
        elif waited > patience:
            self.trainer.send(signal.SIGTERM)
