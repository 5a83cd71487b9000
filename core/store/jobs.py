"""Jobs as a caller sees them: submit, look up, list, cancel. What workers do to them is in ``attempts.py``."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Row, false, func, inspect, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from core.errors import Conflict, Invalid, NotFound
from core.spec.job import AdversarialTraining, Distillation, EvaluationJob
from core.spec.job import Job as Spec
from core.spec.status import Status
from core.store.clock import database_now
from core.store.ids import is_id, new_id
from core.store.moves import begin, move
from core.store.pages import page
from core.store.tables import Dataset, Job, JobLabel

Sort = Literal["created_at", "-created_at"]
_LISTED = select(
    *(
        column.class_attribute.label(column.key)
        for column in inspect(Job).column_attrs
        if column.key
        not in {
            *("spec", "project_id", "protocol", "infrastructure_failures", "timeouts", "memory_failures"),
            *("lease_expires_at", "not_before", "cancel_requested_at", "event_seq", "deleted_at"),
        }
    )
)


@dataclass(frozen=True)
class Filters:
    """Every field narrows the list; an empty one does not."""

    statuses: tuple[Status, ...] = ()
    kinds: tuple[str, ...] = ()
    method: str | None = None
    student: str | None = None
    """An architecture."""
    dataset: str | None = None
    """Id or name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Entries of the jobs' metadata, all of which must be equal."""
    sweep: str | None = None
    """Id."""


@dataclass(frozen=True)
class Place:
    """Where a job stands in a sweep."""

    sweep_id: str
    sweep_index: int
    sweep_line: str


def submit(
    session: Session,
    project_id: str,
    spec: Spec,
    *,
    dataset_id: str | None = None,
    teacher_id: str | None = None,
    name: str | None = None,
    place: Place | None = None,
) -> Job:
    """A new job, ``queued``. The spec must be fully resolved; ``name`` defaults to the spec's."""
    job = Job(
        id=new_id("job"),
        project_id=project_id,
        kind=spec.kind,
        name=name,
        spec=spec.model_dump(mode="json"),
        dataset_id=dataset_id,
        teacher_id=teacher_id,
        labels={},
        **(vars(place) if place is not None else {}),
    )
    if isinstance(spec, AdversarialTraining | Distillation):
        job.student = spec.student.architecture
        job.method = spec.method.name
    if isinstance(spec, AdversarialTraining | Distillation | EvaluationJob):
        job.name = name or spec.name
        job.dataset = spec.data.dataset
        job.labels = dict(spec.metadata)
    begin(session, job)
    mine = {"project_id": project_id, "job_id": job.id, "created_at": job.created_at}
    session.add_all(JobLabel(key=key, value=value, **mine) for key, value in job.labels.items())
    session.flush()
    return job


def get(session: Session, project_id: str, job_id: str) -> Job:
    """Raises NotFound, also for another project's job."""
    return _find(session, project_id, job_id)


def list_jobs(
    session: Session,
    project_id: str,
    filters: Filters | None = None,
    *,
    sort: str = "-created_at",
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[Row[Any]], str | None]:
    """One page, and the cursor of the next; None at the end. Plain rows, named as the columns of a ``Job``: to make a Job
    of each takes longer than the query. The specs, which are long, and what only workers need are not read.

    Raises Invalid for a sort key outside ``created_at`` and ``-created_at``, or a cursor that no page gave out.
    """
    if sort not in get_args(Sort):
        raise Invalid.field("sort", message=f"Jobs are sorted by created_at or -created_at, not by {sort[:100]!r}.")
    filters = filters or Filters()
    statement, place = _LISTED, (Job.created_at, Job.id)
    if filters.labels:  # the index of the first has the jobs in their order
        (key, value), *others = filters.labels.items()
        filters = replace(filters, labels=dict(others))
        statement = statement.join(JobLabel, JobLabel.job_id == Job.id).where(*_has_label(JobLabel, project_id, key, value))
        place = (JobLabel.created_at, JobLabel.job_id)
    statement = statement.where(*_conditions(project_id, filters))
    return page(session, statement, *place, after=after, limit=limit, newest_first=sort == "-created_at")


def count(session: Session, project_id: str, filters: Filters | None = None) -> int:
    statement = select(func.count()).select_from(Job).where(*_conditions(project_id, filters or Filters()))
    return session.scalar(statement) or 0


def count_by_status(session: Session) -> dict[Status, int]:
    """Over all projects: for gauges."""
    return dict(session.execute(select(Job.status, func.count()).group_by(Job.status)).all())


def versions(session: Session, job_ids: Collection[str]) -> dict[str, int]:
    """The present version of each of these jobs, whoever they belong to: for streams that were let in before."""
    rows = session.execute(select(Job.id, Job.version).where(Job.id.in_(job_ids)))
    return {row.id: row.version for row in rows}


def request_cancel(session: Session, project_id: str, job_id: str) -> tuple[Job, bool]:
    """Ask for a job's end; the flag says whether this call changed anything.

    queued: cancelled at once. running: cancelling, and its worker sees to the rest. cancelling, cancelled: unchanged.
    Raises Conflict for a job that has succeeded or failed.
    """
    job = _find(session, project_id, job_id, lock=True)
    match job.status:
        case "queued":
            move(session, job, "cancelled", "cancelled before it began", cancel_requested_at=database_now())
            return job, True
        case "running":
            move(session, job, "cancelling", "a user asked to cancel it", cancel_requested_at=database_now())
            return job, True
        case "cancelling" | "cancelled":
            return job, False
        case _:
            raise Conflict(f"Job {job.id} has {job.status}; there is nothing left to cancel.", code=f"job_{job.status}")


def queue_position(session: Session, job: Job) -> int | None:
    """1 for the job that is next in line; None for one that does not wait."""
    if job.status != "queued":
        return None
    ahead = tuple_(Job.created_at, Job.id) < tuple_(job.created_at, job.id)
    return 1 + (session.scalar(select(func.count()).where(Job.status == "queued", ahead)) or 0)


def _find(session: Session, project_id: str, job_id: str, *, lock: bool = False) -> Job:
    statement = select(Job).where(Job.id == job_id, Job.project_id == project_id)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    job = session.scalars(statement).one_or_none() if is_id(job_id) else None
    if job is None:
        raise NotFound(f"There is no job {job_id[:64]!r} in this project.")
    return job


def _conditions(project_id: str, filters: Filters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [Job.project_id == project_id]
    if filters.statuses:
        found.append(Job.status.in_(filters.statuses))
    if filters.kinds:
        found.append(Job.kind.in_(filters.kinds))
    if filters.method is not None:
        found.append(Job.method == filters.method)
    if filters.student is not None:
        found.append(Job.student == filters.student)
    if filters.dataset is not None:
        visible = or_(Dataset.project_id == project_id, Dataset.project_id.is_(None))
        named = or_(Dataset.id == filters.dataset, Dataset.name == filters.dataset)
        found.append(Job.dataset_id.in_(select(Dataset.id).where(visible, named)))
    if filters.sweep is not None:
        found.append(Job.sweep_id == filters.sweep if is_id(filters.sweep) else false())
    for key, value in filters.labels.items():
        label = aliased(JobLabel)
        found.append(Job.id.in_(select(label.job_id).where(*_has_label(label, project_id, key, value))))
    return found


def _has_label(label: type[JobLabel], project_id: str, key: str, value: str) -> tuple[ColumnElement[bool], ...]:
    return label.project_id == project_id, label.key == key, label.value == value
