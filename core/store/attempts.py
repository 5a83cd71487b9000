"""Jobs as a worker sees them: claim one, hold its lease, write under its fence, let it go.

A claim raises the job's attempt number. Everything that a worker writes happens in ``Attempt.writing``, whose first
statement demands that this number still stands: a worker that was taken for dead can write nothing when it wakes up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, ScalarSelect, and_, func, or_, select, update
from sqlalchemy.orm import Session

from core.errors import LeaseLost
from core.spec.status import HELD, PROTOCOL, Phase
from core.store import events, schema, workers
from core.store.clock import database_now
from core.store.engine import reading, writing
from core.store.ids import is_id
from core.store.moves import move, move_by_id
from core.store.tables import Job

LONGEST_BACKOFF = 36
"""In units of ``backoff_seconds``: 10, 20, 40 … 360 s."""


@dataclass(frozen=True)
class Attempt:
    """One worker's hold on one job."""

    engine: Engine
    job_id: str
    number: int
    project_id: str
    lease_seconds: float

    @contextmanager
    def writing(self) -> Iterator[tuple[Session, Job]]:
        """A transaction that only the job's present attempt gets: ``with attempt.writing() as (session, job):``.

        Raises LeaseLost, with nothing written, where the job has ended or belongs to another attempt.
        """
        with writing(self.engine) as session:
            yield session, self._fence(session, version=Job.version + 1)

    def renew(self) -> Job:
        """Extend the lease, and see the job as it stands: it may be ``cancelling``. Raises LeaseLost."""
        with writing(self.engine) as session:
            return self._fence(session, lease_expires_at=_after(self.lease_seconds))

    def phase(self, phase: Phase) -> None:
        """What the worker is at. Raises LeaseLost."""
        with self.writing() as (session, job):
            job.phase = phase
            events.append(session, job, "phase", {"phase": phase})

    def progress(self, progress: dict[str, Any]) -> None:
        """How far it is. Raises LeaseLost."""
        with self.writing() as (_, job):
            job.progress = progress

    def _fence(self, session: Session, **changes: Any) -> Job:
        statement = (
            update(Job)
            .where(Job.id == self.job_id, Job.attempt == self.number, Job.status.in_(HELD))
            .values(**changes)
            .returning(Job)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        job = session.scalars(statement).one_or_none()
        if job is None:
            raise LeaseLost(f"Attempt {self.number} of job {self.job_id} no longer owns it.")
        return job


def next_queued(session: Session, limit: int = 100) -> list[str]:
    """Ids of jobs that may be claimed now, the oldest first."""
    statement = select(Job.id).where(Job.status == "queued", _ready()).order_by(Job.created_at, Job.id).limit(limit)
    return list(session.scalars(statement))


def claim(engine: Engine, job_id: str, worker: str, lease_seconds: float) -> Attempt | None:
    """Take a queued job. None where someone else has it, it has ended, it must wait, or there is none; and where this
    worker was told to drain, is of an older protocol than the job, or of another schema than the database.
    """
    return _claim(engine, job_id, worker, lease_seconds) if is_id(job_id) else None


def claim_next(engine: Engine, worker: str, lease_seconds: float) -> Attempt | None:
    """Take the oldest queued job that this worker may have, past those that others are just taking; None where there is none."""
    waiting = select(Job.id).where(Job.status == "queued", _ready()).order_by(Job.created_at, Job.id).limit(1)
    return _claim(engine, waiting.with_for_update(skip_locked=True).scalar_subquery(), worker, lease_seconds)


def _claim(engine: Engine, job_id: str | ScalarSelect[str], worker: str, lease_seconds: float) -> Attempt | None:
    with writing(engine) as session:
        job = move_by_id(
            session,
            job_id,
            "queued",
            "running",
            "a worker claimed it",
            _ready(),
            workers.may_claim(worker[:200]),
            schema.is_own(),
            attempt=Job.attempt + 1,
            worker=worker[:200],
            lease_expires_at=_after(lease_seconds),
            phase="preparing",
            pending_reason=None,
            not_before=None,
            started_at=func.coalesce(Job.started_at, database_now()),
        )
    return Attempt(engine, job.id, job.attempt, job.project_id, lease_seconds) if job is not None else None


def succeed(session: Session, job: Job, results: dict[str, Any] | None = None, model_id: str | None = None) -> None:
    """Done, even if a request to cancel came too late to be heeded. Call it inside ``Attempt.writing``."""
    move(session, job, "succeeded", "done", results=results, model_id=model_id, failure=None)


def fail(session: Session, job: Job, failure: dict[str, Any]) -> None:
    """The job cannot be done: ``{"code", "class", "message", "retryable"}``; the attempt is added here.

    A job that was being cancelled becomes ``cancelled``. Call it inside ``Attempt.writing``.
    """
    if job.status == "cancelling":
        cancelled(session, job)
    else:
        move(session, job, "failed", failure.get("message"), failure={**failure, "attempt": job.attempt})


def cancelled(session: Session, job: Job, reason: str = "its trainer has ended") -> None:
    """The trainer of a ``cancelling`` job has ended. Call it inside ``Attempt.writing``."""
    move(session, job, "cancelled", reason)


def release(
    session: Session,
    job: Job,
    reason: str,
    *,
    counts: bool,
    max_attempts: int = 5,
    backoff_seconds: float = 0.0,
    failure: dict[str, Any] | None = None,
) -> None:
    """Give the job back to the queue. Call it inside ``Attempt.writing``.

    ``counts``: the infrastructure failed, so the next attempt waits ``backoff_seconds`` times 1, 2, 4 … 36, and the
    ``max_attempts``-th such failure is the last: the job fails, with ``failure`` where it is given. A worker that shuts
    down in good order does not count. A job that was being cancelled becomes ``cancelled``.
    """
    failures = job.infrastructure_failures + (1 if counts else 0)
    if job.status == "cancelling":
        cancelled(session, job, reason)
    elif counts and failures >= max_attempts:
        last = failure or {"code": "worker_lost", "class": "infrastructure", "message": reason, "retryable": True}
        message = f"{last['message']} This was the last of {max_attempts} attempts."
        last = {**last, "message": message, "attempt": job.attempt}
        move(session, job, "failed", message, failure=last, infrastructure_failures=failures)
    else:
        wait_seconds = min(2 ** (failures - 1), LONGEST_BACKOFF) * backoff_seconds if counts else 0.0
        move(
            session,
            job,
            "queued",
            reason,
            worker=None,
            pending_reason=reason,
            not_before=_after(wait_seconds),
            infrastructure_failures=failures,
        )


def sweep(engine: Engine, *, max_attempts: int, backoff_seconds: float) -> list[str]:
    """Take every job whose lease has run out, by the database's clock, from its worker; the ids of those jobs.

    Each goes back to the queue, or fails for good, or (``cancelling``) is cancelled. Safe to run in many processes.
    """
    expired = (Job.status.in_(HELD), Job.lease_expires_at < database_now())
    with reading(engine) as session:
        found = list(session.scalars(select(Job.id).where(*expired)))
    swept = []
    for job_id in found:
        with writing(engine) as session:
            # Locked and asked again: since then it may have been renewed, ended, or swept by another.
            statement = select(Job).where(Job.id == job_id, *expired).with_for_update(skip_locked=True)
            job = session.scalars(statement).one_or_none()
            if job is not None:
                reason = f"Its worker {job.worker!r} was not heard of for the length of its lease."
                release(session, job, reason, counts=True, max_attempts=max_attempts, backoff_seconds=backoff_seconds)
                swept.append(job_id)
    return swept


def _after(seconds: float) -> ColumnElement[int]:
    return database_now() + round(seconds * 1000)


def _ready() -> ColumnElement[bool]:
    return and_(Job.protocol <= PROTOCOL, or_(Job.not_before.is_(None), Job.not_before <= database_now()))
