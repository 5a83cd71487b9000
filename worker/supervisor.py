"""One attempt at one job: claim, lay out the folder, start the trainer, heartbeat, publish, stop, release.

It never imports torch, and outlives whatever the trainer does.
"""

import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from os import getpid

import structlog
from sqlalchemy import Engine

from core.errors import CorruptObject, JobFailed, LeaseLost, Unavailable
from core.folder import JobFolder, StopReason
from core.settings import Settings
from core.store import attempts, jobs
from core.store.attempts import Attempt
from core.store.engine import reading
from core.store.objects import Objects
from core.store.tables import Job
from worker.conclusion import Conclusion
from worker.inputs import Inputs
from worker.outputs import Outputs
from worker.trainer_process import TrainerProcess

LOOK_SECONDS = 0.2
STATUS_SECONDS = 1.0
RETRY_SECONDS = 1.0
log = structlog.get_logger()


def worker_name(settings: Settings) -> str:
    return settings.worker_name or f"{socket.gethostname()}-{getpid()}"


class Supervisor:
    """Runs attempts for one worker. ``shutdown``: when set, running jobs are checkpointed and given back."""

    def __init__(self, settings: Settings, engine: Engine, objects: Objects, shutdown: threading.Event) -> None:
        self.settings, self.engine, self.objects, self.shutdown = settings, engine, objects, shutdown

    def run(self, job_id: str) -> bool:
        """One attempt at the job; False at once if there is nothing to claim."""
        if self.shutdown.is_set():
            return False
        attempt = attempts.claim(self.engine, job_id, worker_name(self.settings), self.settings.lease_seconds)
        if attempt is None:
            return False
        with structlog.contextvars.bound_contextvars(job=job_id, attempt=attempt.number):
            log.info("attempt begun")
            OneAttempt(self, attempt).run()
        return True


class OneAttempt:
    def __init__(self, supervisor: Supervisor, attempt: Attempt) -> None:
        self.settings, self.objects, self.shutdown = supervisor.settings, supervisor.objects, supervisor.shutdown
        self.attempt = attempt
        self.folder = JobFolder(self.settings.resolved_scratch_folder / "jobs" / f"{attempt.job_id}-{attempt.number}")
        self.outputs = Outputs(self.objects, attempt, self.folder)
        self.conclusion = Conclusion(self.settings, self.objects, attempt, self.outputs)
        self.asked: StopReason | None = None
        self.asked_at = 0.0
        self.next_status = self.next_heartbeat = 0.0

    def run(self) -> None:
        trainer = None
        try:
            shutil.rmtree(self.folder.path, ignore_errors=True)
            trainer = self.start()
            self.watch(trainer)
            trainer.end()
            self.persist(self.outputs.follow)
            self.persist(lambda: self.conclusion.conclude(trainer, self.asked))
        except LeaseLost:
            log.warning("this attempt no longer owns its job; it ends without a trace")
        except JobFailed as error:
            self.give_up(error)
        except (OSError, CorruptObject) as error:
            self.give_up(JobFailed("worker_error", "infrastructure", f"The worker could not go on: {error}"))
        except Exception as error:
            log.exception("the supervisor failed")
            self.give_up(JobFailed("worker_error", "infrastructure", f"The worker failed with {type(error).__name__}."))
        finally:
            if trainer is not None:
                trainer.end()
            shutil.rmtree(self.folder.path, ignore_errors=True)

    def give_up(self, error: JobFailed) -> None:
        """Say why and let go; if even that cannot be written, the lease runs out and the sweeper takes over."""
        try:
            self.persist(lambda: self.conclusion.failed(error))
        except LeaseLost:
            log.warning("this attempt no longer owns its job; it ends without a trace")

    def start(self) -> TrainerProcess:
        job = self.attempt.renew()
        with Heartbeat(self.attempt, self.settings.heartbeat_seconds):
            Inputs(self.settings, self.objects, self.attempt, self.folder).lay_out(job)
        return TrainerProcess(self.folder.path, self.settings)

    # -- while the trainer runs

    def watch(self, trainer: TrainerProcess) -> None:
        """Until the trainer has ended: publish, keep the lease, pass on requests to stop."""
        while trainer.exit_status() is None:
            try:
                self.outputs.follow()
                self.keep_lease()
            except Unavailable as error:
                log.warning("the store cannot be reached; training goes on", error=str(error))
                time.sleep(RETRY_SECONDS)
            if self.shutdown.is_set():
                self.ask("release")
            self.escalate(trainer)
            time.sleep(LOOK_SECONDS)

    def keep_lease(self) -> None:
        now = time.monotonic()
        if now >= self.next_heartbeat:
            self.obey(self.attempt.renew())
            self.next_heartbeat, self.next_status = now + self.settings.heartbeat_seconds, now + STATUS_SECONDS
        elif now >= self.next_status:
            with reading(self.attempt.engine) as session:
                self.obey(jobs.get(session, self.attempt.project_id, self.attempt.job_id))
            self.next_status = now + STATUS_SECONDS

    def obey(self, job: Job) -> None:
        if job.status == "cancelling":
            self.ask("cancel")

    def ask(self, reason: StopReason) -> None:
        """First kindly. A cancel outweighs a release."""
        if self.asked is None:
            self.folder.ask_to_stop(reason)
            self.asked_at = time.monotonic()
        if self.asked != "cancel":
            self.asked = reason

    def escalate(self, trainer: TrainerProcess) -> None:
        """Then SIGTERM, then SIGKILL, to the whole process group. A cancelled job has no checkpoint to wait for."""
        if self.asked is None:
            return
        patience = self.settings.grace_seconds * (0.25 if self.asked == "cancel" else 1.0)
        waited = time.monotonic() - self.asked_at
        if waited > patience * 1.25:
            trainer.send(signal.SIGKILL)
        elif waited > patience:
            trainer.send(signal.SIGTERM)

    def persist(self, write: Callable[[], None]) -> None:
        """Try until the store can be reached. A worker that must shut down meanwhile leaves the job to its lease's end."""
        while True:
            try:
                write()
            except Unavailable as error:
                log.warning("the store cannot be reached; trying again", error=str(error))
                if self.shutdown.wait(RETRY_SECONDS):
                    return
            else:
                return


class Heartbeat:
    """Keeps the lease from a thread while something long is done that says nothing."""

    def __init__(self, attempt: Attempt, seconds: float) -> None:
        self.attempt, self.seconds = attempt, seconds
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        while not self.done.wait(self.seconds):
            try:
                self.attempt.renew()
            except Unavailable:
                continue
            except LeaseLost:
                return

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
