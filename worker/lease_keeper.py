"""Holding the lease of a job from claim to end, in a thread of its own.

Whatever else takes long, the lease is renewed, and requests to stop are noticed.
"""

import threading
import time

import structlog

from core.errors import LeaseLost, NotFound, Unavailable
from core.job_folder import StopReason
from core.periodic import PeriodicThread
from core.settings import Settings
from core.store import jobs
from core.store.attempts import Attempt
from core.store.database.engine import read_session
from core.store.database.tables import JobRow

CHECK_SECONDS = 0.2
STATUS_SECONDS = 1.0
"""Time between two readings of the job's status, which tells of requests to cancel or pause it."""
STOP_PRIORITY: dict[StopReason | None, int] = {None: 0, "release": 1, "pause": 2, "cancel": 3}
"""Of two requests to stop, the one of higher priority counts."""
log = structlog.get_logger()


class StopRequested(Exception):
    """Raised while a job is prepared: it is to be cancelled, paused or released."""


class LeaseKeeper:
    """Renews an attempt's lease between ``__enter__`` and ``__exit__``.

    ``stop_reason``: why the attempt is to stop; None while it is not. ``lease_lost``: whether the
    job belongs to another attempt, or must be assumed to.
    """

    def __init__(self, settings: Settings, attempt: Attempt, shutdown: threading.Event) -> None:
        self.settings = settings
        self.attempt = attempt
        self.shutdown = shutdown
        self.stop_reason: StopReason | None = None
        self.lease_lost = False
        self._renewed_at = time.monotonic()  # the claim has just set the lease
        self._next_renewal = 0.0
        self._next_status = 0.0
        self._stop = threading.Event()
        self._thread = PeriodicThread(
            f"lease-{attempt.job_id}",
            self._check,
            CHECK_SECONDS,
            self._stop,
            failure="renewing the lease failed unexpectedly; trying again",
        )

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check_held(self) -> None:
        """Raises LeaseLost."""
        if self.lease_lost:
            raise LeaseLost("the lease was lost")

    def check_may_prepare(self) -> None:
        """Raises LeaseLost, and StopRequested if the trainer need not be started any more."""
        self.check_held()
        if self.stop_reason is not None:
            raise StopRequested

    def check_may_publish(self) -> None:
        """Raises LeaseLost, and Unavailable while the lease may have expired.

        To be called before anything is published. The lease's age is counted by this machine's
        clock from before the last renewal was sent, so it is never taken to last too long.
        """
        self.check_held()
        if time.monotonic() - self._renewed_at > self.settings.lease_seconds:
            raise Unavailable(
                "The lease may have expired; nothing is published until it is renewed."
            )

    def _check(self) -> None:
        if self.shutdown.is_set():
            self._request_stop("release")
        try:
            self._poll_job()
        except Unavailable:
            if self._is_isolated():
                log.warning("the database was out of reach for too long; the attempt is given up")
                self._mark_lost()
        except (LeaseLost, NotFound):
            self._mark_lost()

    def _poll_job(self) -> None:
        """Renew the lease if a heartbeat is due, or read the job's status if that is."""
        now = time.monotonic()
        if now >= self._next_renewal:
            self._apply_status(self.attempt.renew())
            self._renewed_at = now  # not the time after the renewal, which may have taken long
            self._next_renewal = now + self.settings.heartbeat_seconds
            self._next_status = now + STATUS_SECONDS
        elif now >= self._next_status:
            with read_session(self.attempt.engine) as session:
                job = jobs.get(session, self.attempt.project_id, self.attempt.job_id)
                self._apply_status(job)
            self._next_status = now + STATUS_SECONDS

    def _apply_status(self, job: JobRow) -> None:
        if job.status == "cancelling":
            self._request_stop("cancel")
        elif job.status == "pausing":
            self._request_stop("pause")

    def _request_stop(self, reason: StopReason) -> None:
        if STOP_PRIORITY[reason] > STOP_PRIORITY[self.stop_reason]:
            self.stop_reason = reason

    def _is_isolated(self) -> bool:
        """Return whether the database has been out of reach for longer than a trainer may run."""
        limit_seconds = max(self.settings.isolation_seconds, self.settings.lease_seconds)
        return time.monotonic() - self._renewed_at > limit_seconds

    def _mark_lost(self) -> None:
        self.lease_lost = True
        self._stop.set()
