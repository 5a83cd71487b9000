"""Sweeps: jobs that were submitted together. What has become of one is what has become of its jobs."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from core.errors import Conflict, NotFound
from core.jobspec.status import TERMINAL, Status
from core.jobspec.sweep import SweepSpec as Spec
from core.store import jobs
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import JobRow, SweepRow

StatusCounts = dict[Status, int]


def create(session: Session, project_id: str, spec: Spec) -> SweepRow:
    """Without its jobs: they are submitted in the same transaction, each with its ``jobs.Place``."""
    sweep = SweepRow(
        id=new_id("swp"),
        project_id=project_id,
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        size=spec.size,
    )
    session.add(sweep)
    session.flush()
    return sweep


def get(session: Session, project_id: str, sweep_id: str) -> SweepRow:
    """Raises NotFound, also for another project's sweep."""
    statement = select(SweepRow).where(SweepRow.id == sweep_id, SweepRow.project_id == project_id)
    sweep = session.scalars(statement).one_or_none() if is_id(sweep_id) else None
    if sweep is None:
        raise NotFound(f"There is no sweep {sweep_id[:64]!r} in this project.")
    return sweep


def list_sweeps(
    session: Session, project_id: str, *, after: str | None = None, limit: int = 50
) -> tuple[list[SweepRow], str | None]:
    """One page, newest first, without their specs; and the cursor of the next, None at the end. Raises Invalid for a bad one."""
    statement = (
        select(SweepRow).options(defer(SweepRow.spec)).where(SweepRow.project_id == project_id)
    )
    return page(session, statement, SweepRow.created_at, SweepRow.id, after=after, limit=limit)


def jobs_of(session: Session, sweep_id: str) -> list[JobRow]:
    """In their order, without their specs."""
    statement = (
        select(JobRow)
        .options(defer(JobRow.spec))
        .where(JobRow.sweep_id == sweep_id, JobRow.live())
        .order_by(JobRow.sweep_index)
    )
    return list(session.scalars(statement))


def count_by_status(session: Session, sweep_ids: Collection[str]) -> dict[str, StatusCounts]:
    """How many jobs of each sweep are in each state."""
    statement = select(JobRow.sweep_id, JobRow.status, func.count()).where(
        JobRow.sweep_id.in_(sweep_ids), JobRow.live()
    )
    found: dict[str, StatusCounts] = {sweep_id: {} for sweep_id in sweep_ids}
    for sweep_id, status, count in session.execute(
        statement.group_by(JobRow.sweep_id, JobRow.status)
    ):
        found[str(sweep_id)][status] = count
    return found


def cancel_jobs(session: Session, project_id: str, sweep_id: str) -> int:
    """Ask for the end of every job that has not ended; how many this call changed. The last first: none begins meanwhile."""
    statement = select(JobRow.id).where(
        JobRow.sweep_id == sweep_id, JobRow.status.not_in(TERMINAL | {"cancelling"})
    )
    open_jobs = session.scalars(statement.order_by(JobRow.sweep_index.desc())).all()
    return sum(_cancelled(session, project_id, job_id) for job_id in open_jobs)


def _cancelled(session: Session, project_id: str, job_id: str) -> bool:
    """False where it has ended since it was looked for."""
    try:
        return jobs.apply_action(session, project_id, job_id, "cancel")[1]
    except Conflict:
        return False
