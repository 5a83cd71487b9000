"""The retry policy: whether a job whose attempt failed gets another attempt, and when.

    user             the job fails: another attempt would fail in the same way
    infrastructure   at most `max_attempts` attempts, after pauses of 10, 20, 40 … 360 s
      out_of_memory  one more attempt; the second time the job fails, with advice for the user
      storage_full   no failure: the job is paused until there may be room again
    timeout          at most `max_timeouts` attempts, after the same pauses

A worker that is shut down in good order releases its job, which counts as no failure.
"""

from dataclasses import dataclass
from typing import Any

from core.errors import JobFailed
from core.jobspec.status import Outcome, Status
from core.settings import Settings
from core.store.database.clock import after
from core.store.database.fence import FencedSession
from core.store.database.tables import JobRow
from core.store.lifecycle import attempt_records
from core.store.lifecycle.transitions import PAUSED_BY_USER, transition

MAX_BACKOFF_FACTOR = 36
"""The longest pause between attempts, in units of ``backoff_seconds``."""
MEMORY_ADVICE = (
    "It ran out of memory twice: it needs a smaller schedule.batch_size or evaluation.batch_size, "
    "a smaller student, or a worker with more memory."
)


@dataclass(frozen=True)
class RetryPolicy:
    """How many attempts a job gets, and how long the pauses between them are."""

    max_attempts: int = 5
    max_timeouts: int = 2
    backoff_seconds: float = 10.0
    storage_retry_seconds: float = 60.0
    """How long a job is paused whose worker or store had a full disk."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "RetryPolicy":
        return cls(
            settings.max_attempts,
            settings.max_timeouts,
            settings.backoff_seconds,
            settings.storage_retry_seconds,
        )


def apply_retry_policy(
    session: FencedSession, job: JobRow, error: JobFailed, policy: RetryPolicy
) -> None:
    """Change the status of a leased job whose attempt failed.

    A job that was being cancelled becomes ``cancelled``, and one that was being paused becomes
    ``paused``, unless the failure is the user's.
    """
    _change_status(session, job, error, policy)
    attempt_records.end(session, job, _outcome(job.status, error), error)


def _change_status(
    session: FencedSession, job: JobRow, error: JobFailed, policy: RetryPolicy
) -> None:
    if job.status == "cancelling":
        transition(session, job, "cancelled", error.message)
    elif job.status == "pausing" and error.failure_class != "user":
        transition(
            session,
            job,
            "paused",
            error.message,
            worker=None,
            pending_reason=f"{PAUSED_BY_USER} {error.message}",
        )
    elif error.code == "storage_full":
        reason = f"{error.message} It goes on when there may be room again."
        transition(
            session,
            job,
            "paused",
            reason,
            worker=None,
            pending_reason=reason,
            not_before=after(policy.storage_retry_seconds),
        )
    elif error.failure_class == "user":
        transition(session, job, "failed", error.message, failure=_failure_json(job, error))
    elif error.code == "out_of_memory" and job.memory_failures > 0:
        final = JobFailed(error.code, "user", f"{error.message} {MEMORY_ADVICE}")
        transition(session, job, "failed", final.message, failure=_failure_json(job, final))
    else:
        _retry_or_fail(session, job, error, policy)


def _retry_or_fail(
    session: FencedSession, job: JobRow, error: JobFailed, policy: RetryPolicy
) -> None:
    counters: dict[str, int]
    if error.failure_class == "timeout":
        limit = policy.max_timeouts
        count = job.timeouts + 1
        counters = {"timeouts": count}
    else:
        limit = policy.max_attempts
        count = job.infrastructure_failures + 1
        counters = {"infrastructure_failures": count}
    if error.code == "out_of_memory":
        counters["memory_failures"] = job.memory_failures + 1
    if count >= limit:
        message = f"{error.message} This was the last of {limit} attempts."
        final = JobFailed(error.code, error.failure_class, message)
        transition(session, job, "failed", message, failure=_failure_json(job, final), **counters)
    else:
        wait_seconds = min(2 ** (count - 1), MAX_BACKOFF_FACTOR) * policy.backoff_seconds
        transition(
            session,
            job,
            "queued",
            error.message,
            worker=None,
            pending_reason=error.message,
            not_before=after(wait_seconds),
            **counters,
        )


def _outcome(status: Status, error: JobFailed) -> Outcome:
    """Return the outcome of an attempt that failed; ``status``: the job's afterwards."""
    if error.code == "worker_lost":
        return "lost"
    return status if status == "cancelled" or status == "paused" else "failed"  # noqa: PLR1714


def _failure_json(job: JobRow, error: JobFailed) -> dict[str, Any]:
    """Return the failure as callers see it; ``retryable``: the same job may succeed next time."""
    return {
        "code": error.code,
        "class": error.failure_class,
        "message": error.message,
        "retryable": error.failure_class != "user",
        "attempt": job.attempt,
    }
