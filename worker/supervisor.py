"""One attempt at one job: claim it, prepare its folder, start the trainer, publish its outputs and
save its result.

The supervisor never imports torch, and outlives whatever happens to the trainer.
"""

import errno
import shutil
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from core.errors import CorruptObject, DistillError, JobFailed, LeaseLost, Unavailable
from core.job_folder import JobFolder
from core.settings import Settings
from core.store import attempts
from core.store.attempts import Attempt
from core.store.objects import log_archive
from core.store.objects.store import Objects
from worker.attempt_result import AttemptResult
from worker.inputs import Inputs
from worker.lease_keeper import LeaseKeeper, StopRequested
from worker.logs.attempt_log import AttemptLog
from worker.outputs import Outputs
from worker.registration import Registration
from worker.trainer_process import TrainerProcess
from worker.watchdog import Watchdog

PUBLISH_SECONDS = 0.2
"""Pause between two looks for new events of a trainer."""
RETRY_SECONDS = 1.0
log = structlog.get_logger()


class Supervisor:
    """Runs the attempts of one worker. Once ``shutdown`` is set, running jobs are released."""

    def __init__(
        self, settings: Settings, engine: Engine, objects: Objects, shutdown: threading.Event
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.objects = objects
        self.shutdown = shutdown
        self.registration = Registration(settings, engine)
        self._slots = threading.Semaphore(settings.slots)

    def can_claim(self) -> bool:
        """Return whether this worker would take a job now.

        The reconciler sends wake-ups only if so: some of them reach this very worker.
        """
        return self.registration.blocked_reason is None and self._count_free_slots(1) == 1

    def is_idle(self) -> bool:
        """Return whether this worker runs no job."""
        return self._count_free_slots(self.settings.slots) == self.settings.slots

    def _count_free_slots(self, limit: int) -> int:
        """Return the number of free slots, or ``limit`` if there are more."""
        free = sum(self._slots.acquire(blocking=False) for _ in range(limit))
        if free:
            self._slots.release(free)
        return free

    def run(self) -> bool:
        """Make one attempt at the oldest queued job; return False if none can be claimed."""
        if self.shutdown.is_set() or not self._slots.acquire(blocking=False):
            return False
        try:
            if self.registration.blocked_reason is not None or self.registration.exit_requested:
                return False
            attempt = attempts.claim(
                self.engine, self.registration.name, self.settings.lease_seconds
            )
            if attempt is None:
                return False
            # Every log line of this thread names job and attempt from here on.
            with structlog.contextvars.bound_contextvars(
                job=attempt.job_id, attempt=attempt.number
            ):
                AttemptRunner(self, attempt).run()
            return True
        finally:
            self._slots.release()


class AttemptRunner:
    """Runs one claimed attempt."""

    def __init__(self, supervisor: Supervisor, attempt: Attempt) -> None:
        self.settings = supervisor.settings
        self.objects = supervisor.objects
        self.shutdown = supervisor.shutdown
        self.attempt = attempt
        jobs_folder = self.settings.resolved_scratch_folder / "jobs"
        self.folder = JobFolder(jobs_folder / f"{attempt.job_id}-{attempt.number}")
        self.keeper = LeaseKeeper(self.settings, attempt, self.shutdown)
        self.outputs = Outputs(
            self.objects,
            attempt,
            self.folder,
            self.settings.keep_checkpoints,
            self.keeper.check_may_publish,
        )
        self.log = AttemptLog(attempt, self.folder.path, self.keeper.check_may_publish)
        self.result = AttemptResult(self.settings, self.objects, attempt, self.outputs, self.log)

    def run(self) -> None:
        """Take a claimed job to its result, and leave nothing of the attempt on this machine."""
        try:
            with self.log, self.keeper:
                log.info("attempt started")
                try:
                    self._run()
                except LeaseLost:
                    _log_lease_lost()
                except JobFailed as error:
                    self._fail(error)
                except (OSError, CorruptObject) as error:
                    log.warning("the attempt cannot go on", error=str(error))
                    self._fail(failure_from(error))
                except Exception as error:
                    log.exception("the supervisor failed")
                    message = f"The worker failed with {type(error).__name__}."
                    self._fail(JobFailed("worker_error", "infrastructure", message))
        finally:
            shutil.rmtree(self.folder.path, ignore_errors=True)
            self._archive_log()

    def _archive_log(self) -> None:
        """Make an object of the log, if the attempt has ended. If not now, a reconciler does so."""
        try:
            log_archive.archive(
                self.attempt.engine, self.objects, self.attempt.job_id, self.attempt.number
            )
        except DistillError as error:
            log.warning("the log was not archived", error=str(error))

    def _run(self) -> None:
        try:
            self._retry_until_available(self._prepare)
            self.keeper.check_may_prepare()
        except StopRequested:
            self._retry_until_available(lambda: self.result.save(None, self.keeper.stop_reason))
            return
        with TrainerProcess(self.folder, self.settings, self.log.write) as trainer:
            hang = self._publish_until_exit(trainer)
        # What it emitted last: only now is it certain that nothing more will come.
        if self._retry_until_available(self._publish):
            self._retry_until_available(
                lambda: self.result.save(trainer, self.keeper.stop_reason, hang)
            )

    def _prepare(self) -> None:
        shutil.rmtree(self.folder.path, ignore_errors=True)
        check = self.keeper.check_may_prepare
        Inputs(self.settings, self.objects, self.attempt, self.folder, check).prepare()

    def _publish_until_exit(self, trainer: TrainerProcess) -> JobFailed | None:
        """Publish what the trainer emits until it has ended; return a failure if it hung."""
        with Watchdog(self.settings, self.folder, trainer, self.keeper) as watchdog:
            while trainer.exit_status() is None and not self.keeper.lease_lost:
                try:
                    self._publish()
                except Unavailable as error:
                    log.warning("the store cannot be reached; training goes on", error=str(error))
                    time.sleep(RETRY_SECONDS)
                time.sleep(PUBLISH_SECONDS)
        return watchdog.failure

    def _publish(self) -> None:
        """Publish new events. Raises Unavailable, or JobFailed if the store is full.

        The latter ends the attempt, and the job is paused until there may be space again.
        """
        try:
            self.outputs.publish_new_events()
        except Unavailable as error:
            if error.code != "storage_full":
                raise
            raise JobFailed("storage_full", "infrastructure", error.message) from error

    def _retry_until_available(self, action: Callable[[], None]) -> bool:
        """Call ``action`` until the store can be reached; return False if the worker shuts down.

        In that case the job is freed when its lease expires. Raises LeaseLost if the store is out
        of reach for so long that another attempt must be assumed to have the job.
        """
        while True:
            self.keeper.check_held()
            try:
                action()
            except Unavailable as error:
                log.warning("the store cannot be reached; trying again", error=str(error))
                if self.shutdown.wait(RETRY_SECONDS):
                    return False
            else:
                return True

    def _fail(self, error: JobFailed) -> None:
        """Save a failure. If that is impossible, the lease expires and a reconciler takes over."""
        try:
            self._retry_until_available(lambda: self.result.save_failure(error))
        except LeaseLost:
            _log_lease_lost()


def _log_lease_lost() -> None:
    log.warning("this attempt no longer owns its job; it ends without saving a result")


def failure_from(error: OSError | CorruptObject) -> JobFailed:
    """Return the failure of an attempt through an error on this machine.

    Its message has only the system's words for an OSError: the whole text may name local files.
    """
    if isinstance(error, CorruptObject):
        return JobFailed("corrupt_object", "infrastructure", error.message)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return JobFailed("storage_full", "infrastructure", "The disk of the worker is full.")
    message = f"The worker could not go on: {error.strerror or error}."
    return JobFailed("worker_error", "infrastructure", message)
