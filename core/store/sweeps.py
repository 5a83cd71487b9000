"""Sweeps: jobs that were submitted together. A sweep's state is that of its jobs."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from core.errors import Conflict, NotFound
from core.jobspec.status import TERMINAL, Status
from core.jobspec.sweep import SweepSpec
from core.store import jobs, project_events
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import JobRow, SweepRow

StatusCounts = dict[Status, int]


def create(session: Session, project_id: str, spec: SweepSpec) -> SweepRow:
    """Create a sweep without its jobs.

    Submit these in the same transaction, each with its ``jobs.SweepPosition``.
    """
    sweep = SweepRow(
        id=new_id("swp"),
        project_id=project_id,
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        size=spec.size,
    )
    session.add(sweep)
    session.flush()
    project_events.record_sweep(session, sweep, "created")
    return sweep


def get(session: Session, project_id: str, sweep_id: str) -> SweepRow:
    """Return the project's sweep. Raises NotFound, also for a sweep of another project."""
    statement = select(SweepRow).where(SweepRow.id == sweep_id, SweepRow.project_id == project_id)
    sweep = session.scalars(statement).one_or_none() if is_id(sweep_id) else None
    if sweep is None:
        raise NotFound(f"There is no sweep {sweep_id[:64]!r} in this project.")
    return sweep


def list_sweeps(
    session: Session, project_id: str, *, after: str | None = None, limit: int = 50
) -> tuple[list[SweepRow], str | None]:
    """Return one page, newest first, and the next cursor or None. Specs are not loaded.

    Raises Invalid for a bad cursor.
    """
    statement = (
        select(SweepRow).options(defer(SweepRow.spec)).where(SweepRow.project_id == project_id)
    )
    return page(session, statement, SweepRow.created_at, SweepRow.id, after=after, limit=limit)


def count(session: Session, project_id: str) -> int:
    """Return how many sweeps the project has."""
    in_project = SweepRow.project_id == project_id
    return session.scalar(select(func.count()).select_from(SweepRow).where(in_project)) or 0


def jobs_of(session: Session, sweep_id: str) -> list[JobRow]:
    """Return the sweep's jobs in their order. Their specs are not loaded."""
    statement = (
        select(JobRow)
        .options(defer(JobRow.spec))
        .where(JobRow.sweep_id == sweep_id, JobRow.live())
        .order_by(JobRow.sweep_index)
    )
    return list(session.scalars(statement))


def count_by_status(session: Session, sweep_ids: Collection[str]) -> dict[str, StatusCounts]:
    """Return the number of jobs in each status, for each sweep."""
    statement = (
        select(JobRow.sweep_id, JobRow.status, func.count())
        .where(JobRow.sweep_id.in_(sweep_ids), JobRow.live())
        .group_by(JobRow.sweep_id, JobRow.status)
    )
    counts: dict[str, StatusCounts] = {sweep_id: {} for sweep_id in sweep_ids}
    for sweep_id, status, count in session.execute(statement):
        counts[str(sweep_id)][status] = count
    return counts


def cancel_jobs(session: Session, project_id: str, sweep_id: str) -> int:
    """Cancel every job that has not ended; return how many this call changed."""
    # The last job first: a worker, which takes the oldest, then starts none of them meanwhile.
    statement = (
        select(JobRow.id)
        .where(JobRow.sweep_id == sweep_id, JobRow.status.not_in(TERMINAL | {"cancelling"}))
        .order_by(JobRow.sweep_index.desc())
    )
    job_ids = session.scalars(statement).all()
    return sum(_cancel(session, project_id, job_id) for job_id in job_ids)


def _cancel(session: Session, project_id: str, job_id: str) -> bool:
    """Return whether this call changed the job; it may have ended since it was looked up."""
    try:
        _, changed = jobs.apply_action(session, project_id, job_id, "cancel")
    except Conflict:
        return False
    return changed
