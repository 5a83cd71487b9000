"""Periodically requeue jobs whose worker was lost, wake workers for queued jobs, and clear this
machine's scratch folder.
"""

import shutil
import time

import structlog
from sqlalchemy import Engine

from core.atomic_files import remove_partial_files
from core.errors import DistillError, Unavailable
from core.jobspec.status import LEASED
from core.periodic import PeriodicThread
from core.queue import wake_workers
from core.settings import Settings
from core.store import attempts, workers
from core.store.access import idempotency, sessions
from core.store.database.engine import read_session, write_session
from core.store.database.tables import JobRow
from core.store.estimates import memory_estimates
from core.store.lifecycle.retry_policy import RetryPolicy
from core.store.objects import log_archive, orphaned_uploads
from worker import housekeeping
from worker.resources import memory_estimator
from worker.supervisor import Supervisor

MAX_WAKEUPS = 64
"""Jobs for which wake-ups are sent in one pass."""
HOURLY_SECONDS = 3600.0
log = structlog.get_logger()


class Reconciler:
    """Brings the jobs table back in line with the workers that are alive."""

    def __init__(self, settings: Settings, supervisor: Supervisor) -> None:
        self.settings = settings
        self.supervisor = supervisor
        self.engine = supervisor.engine
        self._not_before = 0.0
        self._next_hourly = 0.0

    def run(self) -> None:
        """Make one pass, unless the database was out of reach less than a lease ago.

        After an outage every lease has expired, and the workers must be able to renew theirs
        first.
        """
        has_other_schema = self.supervisor.registration.schema_error is not None
        if has_other_schema or time.monotonic() < self._not_before:
            return
        try:
            self._run()
        except DistillError:
            self._not_before = time.monotonic() + self.settings.lease_seconds
            raise

    def _run(self) -> None:
        self._mark_lost_workers()
        reclaimed = self._requeue_jobs()
        # A worker that claims nothing would leave the wake-ups in the broker, where they pile up.
        if self.settings.broker_url and self.supervisor.can_claim():
            self._wake_workers()
        clear_scratch(self.settings, self.engine)
        is_hourly_due = time.monotonic() >= self._next_hourly
        if reclaimed or is_hourly_due:
            orphaned_uploads.remove(self.engine, self.supervisor.objects)
            self._archive_logs(None if is_hourly_due else reclaimed)
        if is_hourly_due:
            with write_session(self.engine) as session:
                idempotency.delete_expired(session)
                sessions.delete_expired(session)
                memory_estimates.delete_unused(session)
            self._next_hourly = time.monotonic() + HOURLY_SECONDS

    def _mark_lost_workers(self) -> None:
        with write_session(self.engine) as session:
            names = workers.mark_lost(session)
        for name in names:
            log.warning("a worker was lost", lost_worker=name)

    def _archive_logs(self, job_ids: list[str] | None) -> None:
        """Make objects of logs that their own workers could not make them of; None: of all jobs.

        An object store that is out of reach must not delay what else this thread does.
        """
        try:
            log_archive.archive_ended(self.engine, self.supervisor.objects, job_ids)
        except Unavailable as error:
            log.warning("logs were not archived; trying again later", error=str(error))

    def _requeue_jobs(self) -> list[str]:
        """Take jobs back from lost workers and resume due ones; return the ids of the former."""
        reclaimed = attempts.reclaim_expired(self.engine, RetryPolicy.from_settings(self.settings))
        for job_id in reclaimed:
            log.warning("a job was taken back from a lost worker", job=job_id)
        for job_id in attempts.resume_due(self.engine):
            log.info("a job that was paused for lack of space is queued again", job=job_id)
        return reclaimed

    def _wake_workers(self) -> None:
        """Send wake-ups for queued jobs again: the first ones may have been lost."""
        with read_session(self.engine) as session:
            job_ids = attempts.list_claimable(session, limit=MAX_WAKEUPS)
        for job_id in job_ids:
            if not wake_workers(self.settings, job_id):
                break


def clear_scratch(settings: Settings, engine: Engine) -> None:
    """Remove what killed workers of this machine have left.

    That is job folders whose attempt no longer holds its job, and partly fetched inputs.
    """
    for folder in (settings.resolved_scratch_folder / "jobs").glob("job_*-*"):
        job_id, _, number = folder.name.rpartition("-")
        with read_session(engine) as session:
            job = session.get(JobRow, job_id)
        # A job that this database does not have belongs to another installation.
        if job is not None and (job.status not in LEASED or str(job.attempt) != number):
            shutil.rmtree(folder, ignore_errors=True)
    remove_partial_files(settings.resolved_scratch_folder / "cache")


def start(settings: Settings, supervisor: Supervisor) -> None:
    """Start the threads of the reconciler, of the collector and of the memory estimator."""
    PeriodicThread(
        "reconciler",
        Reconciler(settings, supervisor).run,
        settings.reconcile_seconds,
        supervisor.shutdown,
        failure="reconciling failed; trying again",
    ).start()
    housekeeping.start(settings, supervisor.shutdown)
    memory_estimator.start(
        settings, supervisor.engine, supervisor.registration, supervisor.shutdown
    )
