"""What becomes of a job whose attempt failed: another attempt after a pause, or its end. One rule for each kind of failure.

    user             its end: the same job fails in the same way
    infrastructure   another attempt, `max_attempts` of them at most; pauses of 10, 20, 40 … 360 s
      out_of_memory  one more attempt; the second time it is the user's, with advice
      storage_full   no failure: the job is paused, and goes on when there may be room again
    timeout          another attempt, `max_timeouts` of them at most; the same pauses

Only what counts in one row counts: a worker that is shut down in good order gives its job back and counts nothing.
"""

from dataclasses import dataclass
from typing import Any

from core.errors import JobFailed
from core.settings import Settings
from core.store.database.clock import after
from core.store.database.fence import FencedSession
from core.store.database.tables import JobRow
from core.store.lifecycle.transitions import PAUSED_BY_USER, transition

LONGEST_PAUSE = 36
"""In units of ``backoff_seconds``."""
MEMORY_ADVICE = (
    "It ran out of memory twice: a smaller schedule.batch_size or evaluation.batch_size, a smaller student, or a worker with "
    "more memory is needed."
)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a failure is met with another attempt, and after how long."""

    max_attempts: int = 5
    max_timeouts: int = 2
    backoff_seconds: float = 10.0
    room_seconds: float = 60.0

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
    """Carry a held job to the state that the failure leads to. One that was being cancelled or paused gets what was asked for."""
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
            not_before=after(policy.room_seconds),
        )
    elif error.failure_class == "user":
        transition(session, job, "failed", error.message, failure=_document(job, error))
    elif error.code == "out_of_memory" and job.memory_failures > 0:
        again = JobFailed(error.code, "user", f"{error.message} {MEMORY_ADVICE}")
        transition(session, job, "failed", again.message, failure=_document(job, again))
    else:
        _try_again(session, job, error, policy)


def _try_again(session: FencedSession, job: JobRow, error: JobFailed, policy: RetryPolicy) -> None:
    is_timeout = error.failure_class == "timeout"
    count = (job.timeouts if is_timeout else job.infrastructure_failures) + 1
    limit = policy.max_timeouts if is_timeout else policy.max_attempts
    counted: dict[str, Any] = {"timeouts" if is_timeout else "infrastructure_failures": count}
    if error.code == "out_of_memory":
        counted["memory_failures"] = job.memory_failures + 1
    if count >= limit:
        last = JobFailed(
            error.code,
            error.failure_class,
            f"{error.message} This was the last of {limit} attempts.",
        )
        transition(session, job, "failed", last.message, failure=_document(job, last), **counted)
    else:
        wait_seconds = min(2 ** (count - 1), LONGEST_PAUSE) * policy.backoff_seconds
        transition(
            session,
            job,
            "queued",
            error.message,
            worker=None,
            pending_reason=error.message,
            not_before=after(wait_seconds),
            **counted,
        )


def _document(job: JobRow, error: JobFailed) -> dict[str, Any]:
    """What callers read of it; ``retryable``: whether the same job may well succeed another time."""
    return {
        "code": error.code,
        "class": error.failure_class,
        "message": error.message,
        "retryable": error.failure_class != "user",
        "attempt": job.attempt,
    }
