"""Jobs as a caller sees them: submit, look up, list, act on. What workers do to them is in ``attempts.py``."""

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
from core.jobspec.status import ACTIONS, MOVES, STATUSES, TERMINAL, Action, Status
from core.store import events
from core.store.database.clock import database_now
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import DatasetRow, JobLabelRow, JobRow, ModelRow
from core.store.lifecycle.transitions import IMPORTS, PAUSED_BY_USER, enqueue, transition

Sort = Literal["created_at", "-created_at"]
PARTICIPLES: dict[Action, str] = {
    "cancel": "cancelled",
    "pause": "paused",
    "resume": "resumed",
    "retry": "tried again",
}
INPUTS = (("start_from",), ("model",), ("data", "extra", "dataset"))
"""Where a spec holds ids of models and data sets, beside those that have columns."""
_LISTED = select(
    *(
        column.class_attribute.label(column.key)
        for column in inspect(JobRow).column_attrs
        if column.key
        not in {
            *(
                "spec",
                "project_id",
                "protocol",
                "infrastructure_failures",
                "timeouts",
                "memory_failures",
            ),
            *("lease_expires_at", "not_before", "cancel_requested_at", "event_seq"),
        }
    )
)


@dataclass(frozen=True)
class JobFilters:
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
class SweepPosition:
    """Where a job stands in a sweep."""

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
    """A new job, ``queued``. The spec must be fully resolved; ``name`` defaults to the spec's."""
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
    _hold_inputs(session, job)
    enqueue(session, job)
    mine = {"project_id": project_id, "job_id": job.id, "created_at": job.created_at}
    session.add_all(JobLabelRow(key=key, value=value, **mine) for key, value in job.labels.items())
    session.flush()
    return job


def get(session: Session, project_id: str, job_id: str, *, lock: bool = False) -> JobRow:
    """Raises NotFound, also for another project's job."""
    job = find(session, project_id, job_id, lock=lock)
    if job is None:
        raise NotFound(f"There is no job {job_id[:64]!r} in this project.")
    return job


def find(session: Session, project_id: str, job_id: str, *, lock: bool = False) -> JobRow | None:
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
    """One page, and the cursor of the next; None at the end. Plain rows, named as the columns of a ``Job``: to make a Job
    of each takes longer than the query. The specs, which are long, and what only workers need are not read.

    Raises Invalid for a sort key outside ``created_at`` and ``-created_at``, or a cursor that no page gave out.
    """
    if sort not in get_args(Sort):
        raise Invalid.field(
            "sort", message=f"Jobs are sorted by created_at or -created_at, not by {sort[:100]!r}."
        )
    filters = filters or JobFilters()
    statement, place = _LISTED, (JobRow.created_at, JobRow.id)
    if filters.labels:  # the index of the first has the jobs in their order
        (key, value), *others = filters.labels.items()
        filters = replace(filters, labels=dict(others))
        statement = statement.join(JobLabelRow, JobLabelRow.job_id == JobRow.id).where(
            *_has_label(JobLabelRow, project_id, key, value)
        )
        place = (JobLabelRow.created_at, JobLabelRow.job_id)
    statement = statement.where(*_conditions(project_id, filters))
    return page(
        session, statement, *place, after=after, limit=limit, newest_first=sort == "-created_at"
    )


def count(session: Session, project_id: str, filters: JobFilters | None = None) -> int:
    statement = (
        select(func.count())
        .select_from(JobRow)
        .where(*_conditions(project_id, filters or JobFilters()))
    )
    return session.scalar(statement) or 0


def count_by_status(session: Session) -> dict[Status, int]:
    """Over all projects: for gauges. Two counts, each by an index alone: of all, and of the few that are deleted."""
    statement = select(JobRow.status, func.count()).group_by(JobRow.status)
    deleted = dict(session.execute(statement.where(~JobRow.live())).all())
    return {status: count - deleted.get(status, 0) for status, count in session.execute(statement)}


def versions(session: Session, job_ids: Collection[str]) -> dict[str, int]:
    """The present version of each of these jobs, whoever they belong to: for streams that were let in before."""
    rows = session.execute(select(JobRow.id, JobRow.version).where(JobRow.id.in_(job_ids)))
    return {row.id: row.version for row in rows}


def apply_action(session: Session, project_id: str, job_id: str, action: Action) -> tuple[JobRow, bool]:
    """What a user asks of a job, as ``core.jobspec.status.ACTIONS`` says; the flag says whether this call changed anything.

    Raises Conflict: code ``job_<status>`` in a state that the action is not for; ``not_retryable``, ``input_deleted``.
    """
    job = get(session, project_id, job_id, lock=True)
    if job.status not in ACTIONS[action]:
        raise Conflict(
            f"Job {job.id} is {job.status}: it cannot be {PARTICIPLES[action]}.",
            code=f"job_{job.status}",
        )
    new = ACTIONS[action][job.status]
    if new is None:
        return job, False
    if action == "retry" and job.kind in IMPORTS:
        raise Conflict(
            f"Job {job.id} is an import, whose upload was not kept; upload again.",
            code="not_retryable",
        )
    if action == "retry":
        _hold_inputs(session, job)
    transition(session, job, new, MOVES[job.status, new], **_changes(action, new))
    return job, True


def _changes(action: Action, new: Status) -> dict[str, Any]:
    """What else changes with the state."""
    match action:
        case "cancel":
            return {"cancel_requested_at": database_now()}
        case "pause":
            return {"not_before": None} | (
                {"pending_reason": PAUSED_BY_USER} if new == "paused" else {}
            )
        case "resume":
            return {"not_before": None, "pending_reason": None}
        case "retry":
            counts = dict.fromkeys(("infrastructure_failures", "timeouts", "memory_failures"), 0)
            cleared = dict.fromkeys(
                (
                    "failure",
                    "not_before",
                    "pending_reason",
                    "cancel_requested_at",
                    "finished_at",
                    "worker",
                )
            )
            return counts | cleared


def delete(session: Session, project_id: str, job_id: str) -> JobRow:
    """Hide a job that has ended; ``restore`` undoes that until the collector has taken it. Its student stays.

    Raises NotFound, and Conflict (code ``job_not_ended``).
    """
    job = get(session, project_id, job_id, lock=True)
    if job.status not in TERMINAL:
        raise Conflict(f"Job {job.id} is {job.status}; cancel it first.", code="job_not_ended")
    return _deleted_at(session, job, database_now(), "deleted")


def restore(session: Session, project_id: str, job_id: str) -> JobRow:
    """Undo ``delete``. Raises NotFound where there is no deleted job of this id."""
    statement = select(JobRow).where(
        JobRow.id == job_id, JobRow.project_id == project_id, ~JobRow.live()
    )
    statement = statement.with_for_update().execution_options(populate_existing=True)
    job = session.scalars(statement).one_or_none() if is_id(job_id) else None
    if job is None:
        raise NotFound(f"There is no deleted job {job_id[:64]!r} in this project.")
    return _deleted_at(session, job, None, "restored")


def _deleted_at(session: Session, job: JobRow, when: Any, event: str) -> JobRow:
    job.deleted_at = when
    session.flush()
    session.refresh(job)
    events.append(session, job, event, {})
    return job


def find_active_user(session: Session, input_id: str) -> str | None:
    """A job that has not ended and needs this model or data set; None where there is none."""
    in_spec = [JobRow.spec[path].as_string() == input_id for path in INPUTS]
    needs_it = or_(JobRow.teacher_id == input_id, JobRow.dataset_id == input_id, *in_spec)
    return session.scalars(
        select(JobRow.id).where(JobRow.status.in_(set(STATUSES) - TERMINAL), needs_it).limit(1)
    ).first()


def _hold_inputs(session: Session, job: JobRow) -> None:
    """Until the commit nobody can delete what the job needs; from then on it is seen to be needed.

    Raises Conflict (code ``input_deleted``) where somebody has, since it was looked up.
    """
    needed = {job.teacher_id, job.dataset_id, *(_at(job.spec, path) for path in INPUTS)} - {None}
    for table in (ModelRow, DatasetRow):
        mine = (table.project_id == job.project_id, table.id.in_(needed))
        for deleted_at in session.scalars(
            select(table.deleted_at).where(*mine).with_for_update(read=True)
        ):
            if deleted_at is not None:
                raise Conflict(
                    "A model or data set of this job has been deleted.", code="input_deleted"
                )


def _at(spec: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        spec = spec.get(key) if isinstance(spec, dict) else None
    return spec


def queue_position(session: Session, job: JobRow) -> int | None:
    """1 for the job that is next in line; None for one that does not wait."""
    if job.status != "queued":
        return None
    ahead = tuple_(JobRow.created_at, JobRow.id) < tuple_(job.created_at, job.id)
    return 1 + (session.scalar(select(func.count()).where(JobRow.status == "queued", ahead)) or 0)


def _visible(project_id: str) -> tuple[ColumnElement[bool], ...]:
    return (JobRow.project_id == project_id, JobRow.live())


def _conditions(project_id: str, filters: JobFilters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [*_visible(project_id)]
    if filters.statuses:
        found.append(JobRow.status.in_(filters.statuses))
    if filters.kinds:
        found.append(JobRow.kind.in_(filters.kinds))
    if filters.method is not None:
        found.append(JobRow.method == filters.method)
    if filters.student is not None:
        found.append(JobRow.student == filters.student)
    if filters.dataset is not None:
        visible = or_(DatasetRow.project_id == project_id, DatasetRow.project_id.is_(None))
        named = select(DatasetRow.id).where(
            visible, DatasetRow.live(), DatasetRow.name == filters.dataset
        )
        # By its id also one that is gone: the jobs that used it are still there.
        found.append(JobRow.dataset_id.in_(union_all(select(literal(filters.dataset)), named)))
    if filters.sweep is not None:
        found.append(JobRow.sweep_id == filters.sweep if is_id(filters.sweep) else false())
    for key, value in filters.labels.items():
        label = aliased(JobLabelRow)
        found.append(
            JobRow.id.in_(select(label.job_id).where(*_has_label(label, project_id, key, value)))
        )
    return found


def _has_label(
    label: type[JobLabelRow], project_id: str, key: str, value: str
) -> tuple[ColumnElement[bool], ...]:
    return label.project_id == project_id, label.key == key, label.value == value
