"""The fence: what an attempt writes, only a ``Fenced`` transaction can write, and only the attempt that owns its job gets one.

A claim raises the job's attempt number. A fenced transaction begins by demanding that this number still stands and keeps the
job's row locked, so a worker that was taken for dead can write nothing when it wakes up. Functions that write an attempt's
rows ask for a ``Fenced`` session, which the type checker holds every caller to.
"""

from sqlalchemy.orm import Session


class FencedSession(Session):
    """Made by ``Attempt.writing``, and by the sweep for an attempt whose lease has run out; by nobody else."""
