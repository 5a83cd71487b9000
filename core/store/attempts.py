"""Jobs as a worker sees them: claim one, hold its lease, write under its fence, let it go.

Everything that a worker writes happens in ``Attempt.writing``, behind the fence of ``core.store.database.fence``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, ScalarSelect, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from core.errors import JobFailed, LeaseLost
from core.jobspec.status import HELD, PROTOCOL
from core.store import workers
from core.store.database import schema
from core.store.database.clock import after, database_now
from core.store.database.engine import read_session, transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.ids import is_id
from core.store.database.tables import JobRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.lifecycle.transitions import PAUSED_BY_USER, transition_by_id, transition


@dataclass(frozen=True)
class Attempt:
    """One worker's hold on one job."""

    engine: Engine
    job_id: str
    number: int
    project_id: str
    lease_seconds: float

    @contextmanager
    def fenced_session(self) -> Iterator[tuple[FencedSession, JobRow]]:
        """A transaction that only the job's present attempt gets: ``with attempt.writing() as (session, job):``.

        Raises LeaseLost, with nothing written, where the job has ended or belongs to another attempt.
        """
        with transaction(self.engine, FencedSession) as session:
            yield session, self._fence(session, version=JobRow.version + 1)

    def renew(self) -> JobRow:
        """Extend the lease, and see the job as it stands: it may be ``cancelling``. Raises LeaseLost."""
        with write_session(self.engine) as session:
            return self._fence(session, lease_expires_at=after(self.lease_seconds))

    def _fence(self, session: Session, **changes: Any) -> JobRow:
        statement = (
            update(JobRow)
            .where(JobRow.id == self.job_id, JobRow.attempt == self.number, JobRow.status.in_(HELD))
            .values(**changes)
            .returning(JobRow)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        job = session.scalars(statement).one_or_none()
        if job is None:
            raise LeaseLost(f"Attempt {self.number} of job {self.job_id} no longer owns it.")
        return job


def list_claimable(session: Session, limit: int = 100) -> list[str]:
    """Ids of jobs that may be claimed now, the oldest first."""
    return list(session.scalars(_waiting(limit)))


def claim(engine: Engine, job_id: str, worker: str, lease_seconds: float) -> Attempt | None:
    """Take a queued job. None where someone else has it, it has ended, it must wait, or there is none; and where this
    worker was told to drain, is of an older protocol than the job, or of another schema than the database.
    """
    return _claim(engine, job_id, worker, lease_seconds) if is_id(job_id) else None


def claim_next(engine: Engine, worker: str, lease_seconds: float) -> Attempt | None:
    """Take the oldest queued job that this worker may have, past those that others are just taking; None where there is none."""
    return _claim(
        engine,
        _waiting(1).with_for_update(skip_locked=True).scalar_subquery(),
        worker,
        lease_seconds,
    )


def _claim(
    engine: Engine, job_id: str | ScalarSelect[str], worker: str, lease_seconds: float
) -> Attempt | None:
    with write_session(engine) as session:
        job = transition_by_id(
            session,
            job_id,
            "queued",
            "running",
            "a worker claimed it",
            _ready(),
            workers.may_claim(worker[:200]),
            schema.is_current(),
            attempt=JobRow.attempt + 1,
            worker=worker[:200],
            lease_expires_at=after(lease_seconds),
            phase="preparing",
            pending_reason=None,
            not_before=None,
            started_at=func.coalesce(JobRow.started_at, database_now()),
        )
    return (
        Attempt(engine, job.id, job.attempt, job.project_id, lease_seconds)
        if job is not None
        else None
    )


def succeed(
    session: FencedSession, job: JobRow, results: dict[str, Any] | None = None, model_id: str | None = None
) -> None:
    """Done, even if a request to cancel or to pause came too late to be heeded."""
    transition(session, job, "succeeded", "done", results=results, model_id=model_id, failure=None)


def release(session: FencedSession, job: JobRow, reason: str) -> None:
    """The trainer has ended because it was asked to, through no failure.

    ``cancelling`` becomes ``cancelled``, ``pausing`` becomes ``paused``; a running job goes back to the queue.
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


def reclaim_expired(engine: Engine, policy: RetryPolicy) -> list[str]:
    """Take every job whose lease has run out, by the database's clock, from its worker; the ids of those jobs.

    Each is met as an infrastructure failure. Safe to run in many processes.
    """
    expired = (JobRow.status.in_(HELD), JobRow.lease_expires_at < database_now())
    with read_session(engine) as session:
        found = list(session.scalars(select(JobRow.id).where(*expired)))
    return [
        job_id for job_id in found if _take_from_lost_worker(engine, job_id, policy, *expired)
    ]


def _take_from_lost_worker(
    engine: Engine, job_id: str, policy: RetryPolicy, *expired: ColumnElement[bool]
) -> bool:
    with transaction(engine, FencedSession) as session:
        # Locked and asked again: since then it may have been renewed, ended, or swept by another.
        statement = (
            select(JobRow).where(JobRow.id == job_id, *expired).with_for_update(skip_locked=True)
        )
        job = session.scalars(statement).one_or_none()
        if job is None:
            return False
        reason = f"Its worker {job.worker!r} was not heard of for the length of its lease."
        apply_retry_policy(
            session, job, JobFailed("worker_lost", "infrastructure", reason), policy
        )
        return True


def resume_due(engine: Engine) -> list[str]:
    """Queue every job that was paused for want of room and has waited its time; their ids."""
    due = (JobRow.status == "paused", JobRow.not_before < database_now())
    with read_session(engine) as session:
        found = list(session.scalars(select(JobRow.id).where(*due)))
    resumed = []
    for job_id in found:
        with write_session(engine) as session:
            reason = "there may be room again"
            if (
                transition_by_id(
                    session,
                    job_id,
                    "paused",
                    "queued",
                    reason,
                    *due,
                    not_before=None,
                    pending_reason=None,
                )
                is not None
            ):
                resumed.append(job_id)
    return resumed


def _waiting(limit: int) -> Select[str]:
    return (
        select(JobRow.id)
        .where(JobRow.status == "queued", _ready())
        .order_by(JobRow.created_at, JobRow.id)
        .limit(limit)
    )


def _ready() -> ColumnElement[bool]:
    return and_(
        JobRow.protocol <= PROTOCOL,
        or_(JobRow.not_before.is_(None), JobRow.not_before <= database_now()),
    )
