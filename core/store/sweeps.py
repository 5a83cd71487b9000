"""Sweeps: jobs that were submitted together. What has become of one is what has become of its jobs."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from core.errors import Conflict, NotFound
from core.spec.status import TERMINAL, Status
from core.spec.sweep import Sweep as Spec
from core.store import jobs
from core.store.ids import is_id, new_id
from core.store.pages import page
from core.store.tables import Job, Sweep

Counts = dict[Status, int]


def create(session: Session, project_id: str, spec: Spec) -> Sweep:
    """Without its jobs: they are submitted in the same transaction, each with its ``jobs.Place``."""
    sweep = Sweep(id=new_id("swp"), project_id=project_id, name=spec.name, spec=spec.model_dump(mode="json"), size=spec.size)
    session.add(sweep)
    session.flush()
    return sweep


def get(session: Session, project_id: str, sweep_id: str) -> Sweep:
    """Raises NotFound, also for another project's sweep."""
    statement = select(Sweep).where(Sweep.id == sweep_id, Sweep.project_id == project_id)
    sweep = session.scalars(statement).one_or_none() if is_id(sweep_id) else None
    if sweep is None:
        raise NotFound(f"There is no sweep {sweep_id[:64]!r} in this project.")
    return sweep


def list_sweeps(
    session: Session, project_id: str, *, after: str | None = None, limit: int = 50
) -> tuple[list[Sweep], str | None]:
    """One page, newest first, without their specs; and the cursor of the next, None at the end. Raises Invalid for a bad one."""
    statement = select(Sweep).options(defer(Sweep.spec)).where(Sweep.project_id == project_id)
    return page(session, statement, Sweep.created_at, Sweep.id, after=after, limit=limit)


def jobs_of(session: Session, sweep_id: str) -> list[Job]:
    """In their order, without their specs."""
    statement = select(Job).options(defer(Job.spec)).where(Job.sweep_id == sweep_id, Job.live()).order_by(Job.sweep_index)
    return list(session.scalars(statement))


def counts(session: Session, sweep_ids: Collection[str]) -> dict[str, Counts]:
    """How many jobs of each sweep are in each state."""
    statement = select(Job.sweep_id, Job.status, func.count()).where(Job.sweep_id.in_(sweep_ids), Job.live())
    found: dict[str, Counts] = {sweep_id: {} for sweep_id in sweep_ids}
    for sweep_id, status, count in session.execute(statement.group_by(Job.sweep_id, Job.status)):
        found[str(sweep_id)][status] = count
    return found


def request_cancel(session: Session, project_id: str, sweep_id: str) -> int:
    """Ask for the end of every job that has not ended; how many this call changed. The last first: none begins meanwhile."""
    statement = select(Job.id).where(Job.sweep_id == sweep_id, Job.status.not_in(TERMINAL | {"cancelling"}))
    open_jobs = session.scalars(statement.order_by(Job.sweep_index.desc())).all()
    return sum(_cancelled(session, project_id, job_id) for job_id in open_jobs)


def _cancelled(session: Session, project_id: str, job_id: str) -> bool:
    """False where it has ended since it was looked for."""
    try:
        return jobs.request(session, project_id, job_id, "cancel")[1]
    except Conflict:
        return False
