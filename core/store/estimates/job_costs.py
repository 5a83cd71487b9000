"""What finished jobs cost: a row for each job that has succeeded, from which rates are learned."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.store.database.fence import FencedSession
from core.store.database.tables import JobCostRow

MAX_ROWS = 100
"""Jobs, the latest, from which rates are learned."""


def record(session: FencedSession, cost: JobCostRow) -> None:
    """Record what a job has cost; it replaces what an earlier run of the same job cost."""
    session.execute(delete(JobCostRow).where(JobCostRow.job_id == cost.job_id))
    session.add(cost)
    session.flush()


def latest(session: Session, device_name: str, architecture: str) -> Sequence[JobCostRow]:
    """Return the latest jobs of any project on this device with this architecture, newest first."""
    statement = (
        select(JobCostRow)
        .where(JobCostRow.device_name == device_name, JobCostRow.architecture == architecture)
        .order_by(JobCostRow.finished_at.desc())
        .limit(MAX_ROWS)
    )
    return session.scalars(statement).all()
