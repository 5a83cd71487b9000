"""Jobs as a worker sees them: claim one, renew its lease, write under its fence, release it.

Everything that a worker writes is written in ``Attempt.fenced_session``, behind the fence of
``core.store.database.fence``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from core.errors import JobFailed, LeaseLost
from core.jobspec.status import LEASED, PROTOCOL, Outcome, Status
from core.store import workers
from core.store.database import schema
from core.store.database.clock import after, database_now
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import JobRow
from core.store.lifecycle import attempt_records
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.lifecycle.transitions import PAUSED_BY_USER, transition, transition_by_id

RELEASE_OUTCOMES: dict[Status, Outcome] = {"cancelled": "cancelled", "paused": "paused"}
"""By the job's new status; ``released`` for any other."""


@dataclass(frozen=True)
class Attempt:
    """One worker's claim on one job. ``number`` is the fencing token."""

    engine: Engine
    job_id: str
    number: int
    project_id: str
    lease_seconds: float
    started_at: int
    """In milliseconds since the epoch, by the database's clock."""

    @contextmanager
    def fenced_session(self, *, visible: bool = True) -> Iterator[tuple[FencedSession, JobRow]]:
        """Open a transaction for the job's current attempt only.

        Use it as ``with attempt.fenced_session() as (session, job):``. ``visible``: whether it
        changes what callers see of the job itself, and so its ETag. Raises LeaseLost, with nothing
        written, where the job has ended or belongs to another attempt.
        """
        version = JobRow.version + 1 if visible else JobRow.version
        with transaction(self.engine, FencedSession) as session:
            yield session, self._update_if_owner(session, version=version)

    def renew(self) -> JobRow:
        """Extend the lease; return the job as it is now. It may be ``cancelling`` or ``pausing``.

        Raises LeaseLost.
        """
        with write_session(self.engine) as session:
            return self._update_if_owner(session, lease_expires_at=after(self.lease_seconds))

    def _update_if_owner(self, session: Session, **changes: Any) -> JobRow:
        # The UPDATE checks the fence and locks the row until the transaction ends.
        statement = (
            update(JobRow)
            .where(
                JobRow.id == self.job_id, JobRow.attempt == self.number, JobRow.status.in_(LEASED)
            )
            .values(**changes)
            .returning(JobRow)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        job = session.scalars(statement).one_or_none()
        if job is None:
            raise LeaseLost(f"Attempt {self.number} no longer owns job {self.job_id}.")
        return job


def list_claimable(session: Session, limit: int = 100) -> list[str]:
    """Return ids of jobs that may be claimed now, the oldest first."""
    return list(session.scalars(_oldest_claimable(limit)))


def claim(engine: Engine, worker: str, lease_seconds: float) -> Attempt | None:
    """Claim the oldest job that this worker may run; skip jobs that others are claiming right now.

    Return None where there is no such job, the worker has been told to drain, or the database has
    another schema than this program.
    """
    worker = worker[:200]
    with write_session(engine) as session:
        job = transition_by_id(
            session,
            _oldest_claimable(1).with_for_update(skip_locked=True).scalar_subquery(),
            "queued",
            "running",
            "a worker claimed it",
            _is_due(),
            workers.may_claim(worker),
            schema.is_current(),
            attempt=JobRow.attempt + 1,
            worker=worker,
            lease_expires_at=after(lease_seconds),
            phase="preparing",
            pending_reason=None,
            not_before=None,
            started_at=func.coalesce(JobRow.started_at, database_now()),
        )
        if job is None:
            return None
        started_at = attempt_records.begin(session, job).started_at
    return Attempt(engine, job.id, job.attempt, job.project_id, lease_seconds, started_at)


def succeed(
    session: FencedSession,
    job: JobRow,
    results: dict[str, Any] | None = None,
    model_id: str | None = None,
) -> None:
    """End a job as ``succeeded``, even if a request to cancel or pause it has come meanwhile."""
    transition(session, job, "succeeded", "done", results=results, model_id=model_id, failure=None)
    attempt_records.end(session, job, "succeeded")


def release(session: FencedSession, job: JobRow, reason: str) -> None:
    """Give up a job whose trainer was told to end; this counts as no failure.

    ``cancelling`` becomes ``cancelled``, ``pausing`` becomes ``paused``; a running job returns to
    the queue.
    """
    match job.status:
        case "cancelling":
            transition(session, job, "cancelled", reason)
        case "pausing":
            transition(session, job, "paused", reason, worker=None, pending_reason=PAUSED_BY_USER)
        case _:
            transition(
                session, job, "queued", reason, worker=None, pending_reason=reason, not_before=None
            )
    attempt_records.end(session, job, RELEASE_OUTCOMES.get(job.status, "released"))


def reclaim_expired(engine: Engine, policy: RetryPolicy) -> list[str]:
    """Take back every job whose lease has expired by the database's clock; return their ids.

    Each counts as an infrastructure failure. Any number of processes may do this at once.
    """
    is_expired = (JobRow.status.in_(LEASED), JobRow.lease_expires_at < database_now())
    with read_session(engine) as session:
        job_ids = list(session.scalars(select(JobRow.id).where(*is_expired)))
    return [job_id for job_id in job_ids if _reclaim(engine, job_id, policy, *is_expired)]


def _reclaim(
    engine: Engine, job_id: str, policy: RetryPolicy, *is_expired: ColumnElement[bool]
) -> bool:
    """Return whether the job was taken back here."""
    with transaction(engine, FencedSession) as session:
        # Locked and checked again: it may have been renewed, ended, or taken back by another.
        statement = (
            select(JobRow).where(JobRow.id == job_id, *is_expired).with_for_update(skip_locked=True)
        )
        job = session.scalars(statement).one_or_none()
        if job is None:
            return False
        message = f"Its worker {job.worker!r} did not renew its lease in time."
        failure = JobFailed("worker_lost", "infrastructure", message)
        apply_retry_policy(session, job, failure, policy)
        return True


def resume_due(engine: Engine) -> list[str]:
    """Queue every job that a full disk paused and that has waited long enough; return their ids."""
    is_due = (JobRow.status == "paused", JobRow.not_before < database_now())
    with read_session(engine) as session:
        job_ids = list(session.scalars(select(JobRow.id).where(*is_due)))
    resumed = []
    for job_id in job_ids:
        with write_session(engine) as session:
            job = transition_by_id(
                session,
                job_id,
                "paused",
                "queued",
                "there may be room again",
                *is_due,
                not_before=None,
                pending_reason=None,
            )
        if job is not None:
            resumed.append(job_id)
    return resumed


def _oldest_claimable(limit: int) -> Select[str]:
    return (
        select(JobRow.id)
        .where(JobRow.status == "queued", _is_due())
        .order_by(JobRow.created_at, JobRow.id)
        .limit(limit)
    )


def _is_due() -> ColumnElement[bool]:
    """Return a condition: this program can run the job, and any pause before it is over."""
    return and_(
        JobRow.protocol <= PROTOCOL,
        or_(JobRow.not_before.is_(None), JobRow.not_before <= database_now()),
    )
