"""The fence: only the attempt that owns a job can write for it.

A claim raises the job's attempt number, the fencing token. A fenced transaction begins by checking
that the number is still the same, and locks the job's row; so a worker that was taken for dead
cannot write anything when it wakes up. Functions that write an attempt's rows take a
``FencedSession``, and the type checker holds every caller to it.
"""

from sqlalchemy.orm import Session


class FencedSession(Session):
    """A transaction of a job's current attempt.

    Only ``Attempt.fenced_session`` opens one, and ``attempts.reclaim_expired`` for an attempt whose
    lease has expired.
    """
