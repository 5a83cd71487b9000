"""Jobs as a caller sees them: submit, look up, list, act on, delete.

What workers do with them is in ``attempts.py``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from sqlalchemy import (
    ColumnElement,
    Row,
    false,
    func,
    inspect,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from core.errors import Conflict, Invalid, NotFound
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, EvaluationJobSpec
from core.jobspec.resolved import JobSpec
from core.jobspec.status import ACTIONS, STATUSES, TERMINAL, TRANSITIONS, Action, Status
from core.store import events
from core.store.database.clock import database_now
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import DatasetRow, JobLabelRow, JobRow, ModelRow
from core.store.lifecycle.transitions import IMPORTS, PAUSED_BY_USER, enqueue, transition

Sort = Literal["created_at", "-created_at"]
REFUSALS: dict[Action, str] = {
    "cancel": "it cannot be cancelled",
    "pause": "it cannot be paused",
    "resume": "it cannot be resumed",
    "retry": "it cannot be tried again",
}
"""How an error says that an action is not possible in the job's status."""
INPUT_PATHS = (("start_from",), ("model",), ("data", "extra", "dataset"))
"""Paths in a spec that hold ids of models and data sets, besides those that have columns."""
UNLISTED_COLUMNS = frozenset(
    {
        "spec",
        "project_id",
        "protocol",
        "infrastructure_failures",
        "timeouts",
        "memory_failures",
        "lease_expires_at",
        "not_before",
        "cancel_requested_at",
        "event_seq",
    }
)
"""Columns that lists leave out: the spec, which is long, and what only workers need."""
_LISTED = select(
    *(
        column.class_attribute.label(column.key)
        for column in inspect(JobRow).column_attrs
        if column.key not in UNLISTED_COLUMNS
    )
)


@dataclass(frozen=True)
class JobFilters:
    """Filters of a job list. An empty field filters nothing."""

    statuses: tuple[Status, ...] = ()
    kinds: tuple[str, ...] = ()
    method: str | None = None
    student: str | None = None
    """An architecture."""
    dataset: str | None = None
    """An id or a name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Entries that a job's metadata must all have."""
    sweep: str | None = None
    """An id."""


@dataclass(frozen=True)
class SweepPosition:
    """A job's position in its sweep; the fields are columns of ``JobRow``."""

    sweep_id: str
    sweep_index: int
    sweep_line: str


def submit(
    session: Session,
    project_id: str,
    spec: JobSpec,
    *,
    dataset_id: str | None = None,
    teacher_id: str | None = None,
    name: str | None = None,
    position: SweepPosition | None = None,
) -> JobRow:
    """Insert a new job in the queue. ``name`` defaults to the spec's own.

    Raises Conflict (code ``input_deleted``) where an input has been deleted meanwhile.
    """
    job = JobRow(
        id=new_id("job"),
        project_id=project_id,
        kind=spec.kind,
        name=name,
        spec=spec.model_dump(mode="json"),
        dataset_id=dataset_id,
        teacher_id=teacher_id,
        labels={},
        **(vars(position) if position is not None else {}),
    )
    if isinstance(spec, AdversarialTrainingSpec | DistillationSpec):
        job.student = spec.student.architecture
        job.method = spec.method.name
    if isinstance(spec, AdversarialTrainingSpec | DistillationSpec | EvaluationJobSpec):
        job.name = name or spec.name
        job.dataset = spec.data.dataset
        job.labels = dict(spec.metadata)
    _lock_inputs(session, job)
    enqueue(session, job)
    _add_labels(session, job)
    return job


def get(session: Session, project_id: str, job_id: str, *, lock: bool = False) -> JobRow:
    """Return the project's job. Raises NotFound, also for a job of another project."""
    job = find(session, project_id, job_id, lock=lock)
    if job is None:
        raise NotFound(f"There is no job {job_id[:64]!r} in this project.")
    return job


def find(session: Session, project_id: str, job_id: str, *, lock: bool = False) -> JobRow | None:
    """Return the project's job, or None. ``lock``: lock its row until the transaction ends."""
    statement = select(JobRow).where(JobRow.id == job_id, *_visible(project_id))
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return session.scalars(statement).one_or_none() if is_id(job_id) else None


def list_jobs(
    session: Session,
    project_id: str,
    filters: JobFilters | None = None,
    *,
    sort: str = "-created_at",
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[Row[Any]], str | None]:
    """Return one page and the cursor of the next page, which is None at the end.

    The rows are named tuples with the columns of ``JobRow``, but for ``UNLISTED_COLUMNS``: to make
    a ``JobRow`` of each takes longer than the query.

    Raises Invalid for a sort key other than ``created_at`` and ``-created_at``, and for a cursor
    that no page returned.
    """
    if sort not in get_args(Sort):
        raise Invalid.field(
            "sort", message=f"Jobs are sorted by created_at or -created_at, not by {sort[:100]!r}."
        )
    filters = filters or JobFilters()
    statement = _LISTED
    order = (JobRow.created_at, JobRow.id)
    if filters.labels:
        # The index on the first label yields its jobs in list order; the others are conditions.
        (key, value), *other_labels = filters.labels.items()
        filters = replace(filters, labels=dict(other_labels))
        statement = statement.join(JobLabelRow, JobLabelRow.job_id == JobRow.id).where(
            *_has_label(JobLabelRow, project_id, key, value)
        )
        order = (JobLabelRow.created_at, JobLabelRow.job_id)
    statement = statement.where(*_conditions(project_id, filters))
    return page(
        session, statement, *order, after=after, limit=limit, newest_first=sort == "-created_at"
    )


def count(session: Session, project_id: str, filters: JobFilters | None = None) -> int:
    """Return how many of the project's jobs match."""
    statement = (
        select(func.count())
        .select_from(JobRow)
        .where(*_conditions(project_id, filters or JobFilters()))
    )
    return session.scalar(statement) or 0


def count_by_status(session: Session) -> dict[Status, int]:
    """Return the number of jobs in each status over all projects, for gauges."""
    # Two queries that an index alone can answer: of all jobs, and of the few that are deleted.
    statement = select(JobRow.status, func.count()).group_by(JobRow.status)
    deleted = dict(session.execute(statement.where(~JobRow.live())).all())
    return {status: count - deleted.get(status, 0) for status, count in session.execute(statement)}


def versions(session: Session, job_ids: Collection[str]) -> dict[str, int]:
    """Return the current version of each of these jobs, of any project.

    For event streams, whose callers were authorized when the stream began.
    """
    rows = session.execute(select(JobRow.id, JobRow.version).where(JobRow.id.in_(job_ids)))
    return {row.id: row.version for row in rows}


def apply_action(
    session: Session, project_id: str, job_id: str, action: Action
) -> tuple[JobRow, bool]:
    """Apply a user's action, as ``core.jobspec.status.ACTIONS`` allows it.

    Return the job and whether this call changed anything. Raises Conflict: code ``job_<status>`` in
    a status that does not allow the action, ``not_retryable``, or ``input_deleted``.
    """
    job = get(session, project_id, job_id, lock=True)
    if job.status not in ACTIONS[action]:
        raise Conflict(
            f"Job {job.id} is {job.status}: {REFUSALS[action]}.", code=f"job_{job.status}"
        )
    new = ACTIONS[action][job.status]
    if new is None:
        return job, False
    if action == "retry" and job.kind in IMPORTS:
        raise Conflict(
            f"Job {job.id} is an import, whose upload has been deleted; upload again.",
            code="not_retryable",
        )
    if action == "retry":
        _lock_inputs(session, job)
    transition(session, job, new, TRANSITIONS[job.status, new], **_changed_columns(action, new))
    return job, True


def _changed_columns(action: Action, new: Status) -> dict[str, Any]:
    """Return the columns that an action changes besides the status."""
    match action:
        case "cancel":
            return {"cancel_requested_at": database_now()}
        case "pause" if new == "paused":
            return {"not_before": None, "pending_reason": PAUSED_BY_USER}
        case "pause":
            return {"not_before": None}
        case "resume":
            return {"not_before": None, "pending_reason": None}
        case "retry":
            return {
                "infrastructure_failures": 0,
                "timeouts": 0,
                "memory_failures": 0,
                "failure": None,
                "not_before": None,
                "pending_reason": None,
                "cancel_requested_at": None,
                "finished_at": None,
                "worker": None,
            }


def delete(session: Session, project_id: str, job_id: str) -> JobRow:
    """Hide a job that has ended; its student stays. ``restore`` can undo this for some days.

    Raises NotFound, and Conflict (code ``job_not_ended``).
    """
    job = get(session, project_id, job_id, lock=True)
    if job.status not in TERMINAL:
        raise Conflict(f"Job {job.id} is {job.status}; cancel it first.", code="job_not_ended")
    return _set_deleted_at(session, job, database_now(), "deleted")


def restore(session: Session, project_id: str, job_id: str) -> JobRow:
    """Undo ``delete``. Raises NotFound where no deleted job has this id."""
    statement = (
        select(JobRow)
        .where(JobRow.id == job_id, JobRow.project_id == project_id, ~JobRow.live())
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    job = session.scalars(statement).one_or_none() if is_id(job_id) else None
    if job is None:
        raise NotFound(f"There is no deleted job {job_id[:64]!r} in this project.")
    return _set_deleted_at(session, job, None, "restored")


def _set_deleted_at(
    session: Session, job: JobRow, deleted_at: ColumnElement[int] | None, event_type: str
) -> JobRow:
    job.deleted_at = deleted_at
    session.flush()
    session.refresh(job)
    events.append(session, job, event_type, {})
    return job


def find_active_job(session: Session, input_id: str) -> str | None:
    """Return the id of a job that has not ended and needs this model or data set, or None."""
    in_spec = [JobRow.spec[path].as_string() == input_id for path in INPUT_PATHS]
    needs_input = or_(JobRow.teacher_id == input_id, JobRow.dataset_id == input_id, *in_spec)
    active = set(STATUSES) - TERMINAL
    statement = select(JobRow.id).where(JobRow.status.in_(active), needs_input).limit(1)
    return session.scalars(statement).first()


def queue_position(session: Session, job: JobRow) -> int | None:
    """Return the position in the queue, from 1; None for a job that is not queued."""
    if job.status != "queued":
        return None
    ahead = tuple_(JobRow.created_at, JobRow.id) < tuple_(job.created_at, job.id)
    return 1 + (session.scalar(select(func.count()).where(JobRow.status == "queued", ahead)) or 0)


def _add_labels(session: Session, job: JobRow) -> None:
    job_columns = {
        "project_id": job.project_id,
        "job_id": job.id,
        "created_at": job.created_at,
    }
    for key, value in job.labels.items():
        session.add(JobLabelRow(key=key, value=value, **job_columns))
    session.flush()


def _lock_inputs(session: Session, job: JobRow) -> None:
    """Lock the job's models and data sets, so that none is deleted before the job is committed.

    From the commit on, ``find_active_job`` finds the job. Raises Conflict (code ``input_deleted``)
    where one has been deleted since it was looked up.
    """
    paths = (_value_at(job.spec, path) for path in INPUT_PATHS)
    input_ids = {job.teacher_id, job.dataset_id, *paths} - {None}
    for table in (ModelRow, DatasetRow):
        is_input = (table.project_id == job.project_id, table.id.in_(input_ids))
        statement = select(table.deleted_at).where(*is_input).with_for_update(read=True)
        if any(deleted_at is not None for deleted_at in session.scalars(statement)):
            raise Conflict(
                "A model or data set of this job has been deleted.", code="input_deleted"
            )


def _value_at(spec: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        spec = spec.get(key) if isinstance(spec, dict) else None
    return spec


def _visible(project_id: str) -> tuple[ColumnElement[bool], ...]:
    return (JobRow.project_id == project_id, JobRow.live())


def _conditions(project_id: str, filters: JobFilters) -> list[ColumnElement[bool]]:
    conditions = [*_visible(project_id)]
    if filters.statuses:
        conditions.append(JobRow.status.in_(filters.statuses))
    if filters.kinds:
        conditions.append(JobRow.kind.in_(filters.kinds))
    if filters.method is not None:
        conditions.append(JobRow.method == filters.method)
    if filters.student is not None:
        conditions.append(JobRow.student == filters.student)
    if filters.dataset is not None:
        visible = or_(DatasetRow.project_id == project_id, DatasetRow.project_id.is_(None))
        named = select(DatasetRow.id).where(
            visible, DatasetRow.live(), DatasetRow.name == filters.dataset
        )
        # A deleted data set's id matches as well: the jobs that used it are still there.
        conditions.append(JobRow.dataset_id.in_(union_all(select(literal(filters.dataset)), named)))
    if filters.sweep is not None:
        conditions.append(JobRow.sweep_id == filters.sweep if is_id(filters.sweep) else false())
    for key, value in filters.labels.items():
        label = aliased(JobLabelRow)
        conditions.append(
            JobRow.id.in_(select(label.job_id).where(*_has_label(label, project_id, key, value)))
        )
    return conditions


def _has_label(
    label: type[JobLabelRow], project_id: str, key: str, value: str
) -> tuple[ColumnElement[bool], ...]:
    return label.project_id == project_id, label.key == key, label.value == value
