"""Holding on to a job from claim to conclusion, in a thread of its own: whatever else takes long, the lease is kept,
a request to stop is heard and carried out, and a trainer that hangs is ended.
"""

import signal
import threading
import time

import structlog

from core.errors import JobFailed, LeaseLost, NotFound, Unavailable
from core.job_folder import JobFolder, StopReason
from core.settings import Settings
from core.store import jobs
from core.store.attempts import Attempt
from core.store.database.engine import read_session
from core.store.database.tables import JobRow
from worker.trainer_process import TrainerProcess
from worker.watchdog import HangDetector

LOOK_SECONDS = 0.2
STATUS_SECONDS = 1.0
WEIGHT: dict[StopReason | None, int] = {None: 0, "release": 1, "pause": 2, "cancel": 3}
"""Of two requests to stop the heavier one counts."""
log = structlog.get_logger()


class Stopping(Exception):
    """Raised out of a preparation that need not go on: the job is to be cancelled, paused or given back."""


class LeaseKeeper:
    """``asked``: why the trainer is to stop, if it is. ``lost``: the job belongs to somebody else, or must be taken to.

    ``failure``: why the trainer was ended, where that was nobody's wish.
    """

    def __init__(
        self, settings: Settings, attempt: Attempt, folder: JobFolder, shutdown: threading.Event
    ) -> None:
        self.settings, self.attempt, self.folder, self.shutdown = (
            settings,
            attempt,
            folder,
            shutdown,
        )
        self.asked: StopReason | None = None
        self.lost = False
        self.failure: JobFailed | None = None
        self.trainer: TrainerProcess | None = None
        self.watchdog = HangDetector(folder, settings.hang_seconds)
        self._renewed_at = time.monotonic()
        self._told_at: float | None = None
        self._next_status = self._next_heartbeat = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(
            target=self._keep, name=f"keeper-{attempt.job_id}", daemon=True
        )

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def check_ours(self) -> None:
        """Raises LeaseLost."""
        if self.lost:
            raise LeaseLost("the lease was lost")

    def check(self) -> None:
        """Raises LeaseLost or Stopping where it is of no use to go on preparing."""
        self.check_ours()
        if self.asked is not None:
            raise Stopping

    def check_lease(self) -> None:
        """To be asked before anything is published. Raises LeaseLost, and Unavailable while the lease may have run out: by this
        machine's own count, from before the last renewal was sent, so that it is never believed in for too long.
        """
        self.check_ours()
        if time.monotonic() - self._renewed_at > self.settings.lease_seconds:
            raise Unavailable(
                "The lease may have run out; nothing is published until it is renewed."
            )

    def _keep(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            try:
                self._beat()
            except Unavailable:
                if self._isolated():
                    log.warning(
                        "the database could not be reached for too long; the attempt is given up"
                    )
                    self._lose()
                    return
            except (LeaseLost, NotFound):
                self._lose()
                return
            except Exception:  # without this thread the lease would run out
                log.exception("keeping the lease failed in an unforeseen way; trying again")
            if self.shutdown.is_set():
                self._ask("release")
            self._stop_trainer()
            self._watch_trainer()

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._obey(self.attempt.renew())
            self._renewed_at = now
            self._next_heartbeat, self._next_status = (
                now + self.settings.heartbeat_seconds,
                now + STATUS_SECONDS,
            )
        elif now >= self._next_status:
            with read_session(self.attempt.engine) as session:
                self._obey(jobs.get(session, self.attempt.project_id, self.attempt.job_id))
            self._next_status = now + STATUS_SECONDS

    def _obey(self, job: JobRow) -> None:
        if job.status == "cancelling":
            self._ask("cancel")
        elif job.status == "pausing":
            self._ask("pause")

    def _ask(self, reason: StopReason) -> None:
        if WEIGHT[reason] > WEIGHT[self.asked]:
            self.asked = reason

    def _isolated(self) -> bool:
        """Whether the database has been out of reach for longer than a trainer may go on without it."""
        return time.monotonic() - self._renewed_at > max(
            self.settings.isolation_seconds, self.settings.lease_seconds
        )

    def _lose(self) -> None:
        self.lost = True
        if self.trainer is not None:
            self.trainer.send(signal.SIGKILL)

    def _stop_trainer(self) -> None:
        """First kindly, then by SIGTERM, then by SIGKILL. A cancelled job has no checkpoint to wait for."""
        if self.asked is None or self.trainer is None or self.trainer.exit_status() is not None:
            return
        if self._told_at is None:
            self._told_at = time.monotonic()
            try:
                self.folder.request_stop(self.asked)
            except OSError:  # no room for even that
                self.trainer.send(signal.SIGTERM)
        waited = time.monotonic() - self._told_at
        patience = self.settings.grace_seconds * (0.25 if self.asked == "cancel" else 1.0)
        if waited > patience * 1.25:
            self.trainer.send(signal.SIGKILL)
        elif waited > patience:
            self.trainer.send(signal.SIGTERM)

    def _watch_trainer(self) -> None:
        if (
            self.trainer is None
            or self.trainer.exit_status() is not None
            or self.failure is not None
        ):
            return
        if self.watchdog.is_hanging():
            silent = round(self.watchdog.silent_seconds)
            message = f"The trainer got nowhere for {silent} s, though its worker was well, and was ended."
            self.failure = JobFailed("trainer_hung", "timeout", message)
            log.warning("the trainer hangs and is ended", silent_seconds=silent)
            self.trainer.send(signal.SIGKILL)
