"""One attempt at one job: claim, lay out the folder, start the trainer, publish what it says, conclude.

It never imports torch, and outlives whatever the trainer does.
"""

import errno
import shutil
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from core.errors import CorruptObject, JobFailed, LeaseLost, Unavailable
from core.job_folder import JobFolder
from core.settings import Settings
from core.store import attempts
from core.store.attempts import Attempt
from core.store.objects.store import Objects
from worker.attempt_result import AttemptResult
from worker.inputs import Inputs
from worker.lease_keeper import LOOK_SECONDS, LeaseKeeper, Stopping
from worker.outputs import Outputs
from worker.registration import Registration
from worker.trainer_process import TrainerProcess

RETRY_SECONDS = 1.0
log = structlog.get_logger()


class Supervisor:
    """Runs attempts for one worker. ``shutdown``: when set, running jobs are checkpointed and given back."""

    def __init__(
        self, settings: Settings, engine: Engine, objects: Objects, shutdown: threading.Event
    ) -> None:
        self.settings, self.engine, self.objects, self.shutdown = (
            settings,
            engine,
            objects,
            shutdown,
        )
        self.registration = Registration(settings, engine)
        self._slots = threading.Semaphore(settings.slots)

    def idle(self) -> bool:
        """Whether it would take a job: only then are waiting ones worth a look, and other workers' hints worth repeating."""
        return self.registration.closed is None and self._free_slots(1) == 1

    def at_rest(self) -> bool:
        """Whether it has no job at all."""
        return self._free_slots(self.settings.slots) == self.settings.slots

    def _free_slots(self, most: int) -> int:
        taken = sum(self._slots.acquire(blocking=False) for _ in range(most))
        if taken:
            self._slots.release(taken)
        return taken

    def run(self) -> bool:
        """One attempt at the oldest job that waits; False at once if there is nothing to claim."""
        if self.shutdown.is_set() or not self._slots.acquire(blocking=False):
            return False
        try:
            if self.registration.closed is not None or self.registration.leaving:
                return False
            attempt = attempts.claim_next(
                self.engine, self.registration.name, self.settings.lease_seconds
            )
            if attempt is None:
                return False
            with structlog.contextvars.bound_contextvars(
                job=attempt.job_id, attempt=attempt.number
            ):
                log.info("attempt begun")
                AttemptRunner(self, attempt).run()
            return True
        finally:
            self._slots.release()


class AttemptRunner:
    def __init__(self, supervisor: Supervisor, attempt: Attempt) -> None:
        self.settings, self.objects, self.shutdown = (
            supervisor.settings,
            supervisor.objects,
            supervisor.shutdown,
        )
        self.attempt = attempt
        self.folder = JobFolder(
            self.settings.resolved_scratch_folder / "jobs" / f"{attempt.job_id}-{attempt.number}"
        )
        self.keeper = LeaseKeeper(self.settings, attempt, self.folder, self.shutdown)
        self.outputs = Outputs(
            self.objects,
            attempt,
            self.folder,
            self.settings.keep_checkpoints,
            self.keeper.check_lease,
        )
        self.conclusion = AttemptResult(self.settings, self.objects, attempt, self.outputs)
        self.trainer: TrainerProcess | None = None

    def run(self) -> None:
        """From a claimed job to whatever comes of it; nothing of the attempt is left on this machine."""
        try:
            with self.keeper:
                try:
                    self.carry_out()
                except LeaseLost:
                    log.warning("this attempt no longer owns its job; it ends without a trace")
                except JobFailed as error:
                    self.give_up(error)
                except (OSError, CorruptObject) as error:
                    log.warning("the attempt cannot go on", error=str(error))
                    self.give_up(failure_of(error))
                except Exception as error:
                    log.exception("the supervisor failed")
                    self.give_up(
                        JobFailed(
                            "worker_error",
                            "infrastructure",
                            f"The worker failed with {type(error).__name__}.",
                        )
                    )
        finally:
            self.end_trainer()
            shutil.rmtree(self.folder.path, ignore_errors=True)

    def carry_out(self) -> None:
        try:
            self.persist(self.prepare)
            self.keeper.check()
        except Stopping:
            self.persist(lambda: self.conclusion.save(None, self.keeper.asked))
            return
        self.trainer = self.keeper.trainer = TrainerProcess(self.folder.path, self.settings)
        self.watch(self.trainer)
        self.end_trainer()
        if self.persist(self.publish):
            self.persist(
                lambda: self.conclusion.save(
                    self.trainer, self.keeper.asked, self.keeper.failure
                )
            )

    def prepare(self) -> None:
        shutil.rmtree(self.folder.path, ignore_errors=True)
        Inputs(self.settings, self.objects, self.attempt, self.folder, self.keeper.check).prepare()

    def watch(self, trainer: TrainerProcess) -> None:
        """Publish until the trainer has ended. The keeper sees to the lease and to requests to stop."""
        while trainer.exit_status() is None and not self.keeper.lost:
            try:
                self.publish()
            except Unavailable as error:
                log.warning("the store cannot be reached; training goes on", error=str(error))
                time.sleep(RETRY_SECONDS)
            time.sleep(LOOK_SECONDS)

    def publish(self) -> None:
        """A full store is the end of the attempt: the job is paused until there may be room. Raises Unavailable, JobFailed."""
        try:
            self.outputs.publish_new_events()
        except Unavailable as error:
            if error.code != "storage_full":
                raise
            raise JobFailed("storage_full", "infrastructure", error.message) from error

    def persist(self, write: Callable[[], None]) -> bool:
        """Try until the store can be reached. False where the worker must shut down first: the lease's end then frees the job.

        Raises LeaseLost where it could not be reached for so long that the job must be taken to be somebody else's.
        """
        while True:
            self.keeper.check_ours()
            try:
                write()
            except Unavailable as error:
                log.warning("the store cannot be reached; trying again", error=str(error))
                if self.shutdown.wait(RETRY_SECONDS):
                    return False
            else:
                return True

    def give_up(self, error: JobFailed) -> None:
        """Say why and let go; if even that cannot be written, the lease runs out and the sweeper takes over."""
        self.end_trainer()
        try:
            self.persist(lambda: self.conclusion.save_failure(error))
        except LeaseLost:
            log.warning("this attempt no longer owns its job; it ends without a trace")

    def end_trainer(self) -> None:
        if self.trainer is not None:
            self.trainer.end()


def failure_of(error: OSError | CorruptObject) -> JobFailed:
    """What went wrong on this machine. An OSError's whole text may name a file of it; what it says is enough."""
    if isinstance(error, CorruptObject):
        return JobFailed("corrupt_object", "infrastructure", error.message)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return JobFailed("storage_full", "infrastructure", "The disk of the worker is full.")
    return JobFailed(
        "worker_error", "infrastructure", f"The worker could not go on: {error.strerror or error}."
    )
