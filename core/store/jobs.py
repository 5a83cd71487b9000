"""Jobs as a caller sees them: submit, look up, list, act on, delete.

What workers do with them is in ``attempts.py``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session, aliased

from core.errors import Conflict, Invalid, NotFound
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, EvaluationJobSpec
from core.jobspec.resolved import JobSpec
from core.jobspec.status import ACTIONS, STATUSES, TERMINAL, TRANSITIONS, Action, Status
from core.reportspec.result_columns import ResultBound, ResultColumn, parse_column
from core.store import events, search_words
from core.store.database.clock import database_now
from core.store.database.ids import is_id, new_id
from core.store.database.pagination import page
from core.store.database.tables import (
    DatasetRow,
    JobInputRow,
    JobLabelRow,
    JobResultRow,
    JobRow,
    ModelRow,
)
from core.store.database.unindexed import unindexed
from core.store.lifecycle.edits import apply_edit
from core.store.lifecycle.transitions import IMPORTS, PAUSED_BY_USER, enqueue, transition
from core.store.results import lists
from core.store.results.lists import Conditions, Matches, SortedList

Sort = Literal["created_at", "-created_at", "finished_at", "-finished_at"]
BY_END = ("finished_at", "-finished_at")
"""Orders of the lists of jobs that have ended."""
REFUSALS: dict[Action, str] = {
    "cancel": "it cannot be cancelled",
    "pause": "it cannot be paused",
    "resume": "it cannot be resumed",
    "retry": "it cannot be tried again",
}
"""How an error says that an action is not possible in the job's status."""
INPUT_ROLES = {
    "start_from": ("start_from",),
    "model": ("model",),
    "extra": ("data", "extra", "dataset"),
}
"""By role, the path in a spec that holds the id of a model or data set, besides those that have
columns."""
INPUT_PATHS = tuple(INPUT_ROLES.values())
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
        "notes",
        "edits",
    }
)
"""Columns that lists leave out: spec and notes, which are long, and what only workers need."""
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
    bounds: tuple[ResultBound, ...] = ()
    """On results, all of which a job must meet."""
    text: str | None = None
    """Words, each of which one of the job's id, name and metadata must begin with."""
    ended: bool = False
    """Whether only jobs that have ended match."""
    deleted: bool = False
    """Whether only deleted jobs match, which match no other list."""


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
    cloned_from: str | None = None,
) -> JobRow:
    """Insert a new job in the queue. ``name`` defaults to the spec's own.

    ``cloned_from``: id of the job whose spec this one was made from.
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
        cloned_from=cloned_from,
        **(vars(position) if position is not None else {}),
    )
    _copy_from_spec(job, spec)
    _lock_inputs(session, job)
    enqueue(session, job)
    _add_labels(session, job)
    _add_inputs(session, job)
    search_words.index(session, job)
    return job


def _copy_from_spec(job: JobRow, spec: JobSpec) -> None:
    """Set the columns by which jobs are listed and filtered."""
    if isinstance(spec, AdversarialTrainingSpec | DistillationSpec):
        job.student = spec.student.architecture
        job.method = spec.method.name
    if isinstance(spec, AdversarialTrainingSpec | DistillationSpec | EvaluationJobSpec):
        job.name = job.name or spec.name
        job.dataset = spec.data.dataset
        job.labels = dict(spec.metadata)


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

    ``sort``: created_at, -created_at; one of ``BY_END``, in whose lists are only jobs that have
    ended; or a result's column, in whose list jobs without the result come last. Raises Invalid for
    any other, and for a cursor that no page returned.
    """
    filters = filters or JobFilters()
    if sort not in get_args(Sort):
        sorted_list = _sort_by_result(session, project_id, filters, sort)
        return sorted_list.page(session, after=after, limit=limit)
    return _list_by_time(session, project_id, filters, sort, after, limit)


def _list_by_time(
    session: Session,
    project_id: str,
    filters: JobFilters,
    sort: str,
    after: str | None,
    limit: int,
) -> tuple[list[Row[Any]], str | None]:
    """Return one page of jobs, by the time of their creation or end, and the next cursor."""
    matches = _match(session, project_id, filters, filters.bounds)
    statement = _LISTED
    order: tuple[Any, Any] = (JobRow.created_at, JobRow.id)
    filters = _in_order(filters, sort)
    if sort in BY_END:
        order = (JobRow.finished_at, JobRow.id)
    elif filters.labels and not matches.is_few:
        # The index on the first label yields its jobs in list order; the others are conditions.
        (key, value), *other_labels = filters.labels.items()
        filters = replace(filters, labels=dict(other_labels))
        statement = statement.join(JobLabelRow, JobLabelRow.job_id == JobRow.id).where(
            *_has_label(JobLabelRow, project_id, key, value)
        )
        order = (JobLabelRow.created_at, JobLabelRow.job_id)
    conditions = _conditions(project_id, filters, unindexed if matches.is_few else _indexed)
    return page(
        session,
        statement.where(*conditions, *matches.conditions),
        *order,
        after=after,
        limit=limit,
        newest_first=sort.startswith("-"),
        is_few=matches.is_few,
    )


def _in_order(filters: JobFilters, sort: str) -> JobFilters:
    """Return the filters, and what an order itself leaves out."""
    return replace(filters, ended=True) if sort in BY_END else filters


def _match(
    session: Session, project_id: str, filters: JobFilters, bounds: Sequence[ResultBound]
) -> Matches:
    """Return the conditions of these bounds, of words, and that of deleted jobs."""
    matches = lists.match(session, lists.JOBS, project_id, bounds, filters.text)
    if not filters.deleted:
        return matches
    # Deleted jobs are kept for some days only, and have an index of their own.
    return lists.join([matches, Matches([~JobRow.live()], is_few=True)])


def _sort_by_result(
    session: Session, project_id: str, filters: JobFilters, sort: str
) -> SortedList:
    """Return the list of these jobs by a result. Raises Invalid for what is no result's column."""
    column = parse_sort_column(sort)
    other_bounds = [bound for bound in filters.bounds if bound.column != column]
    matches = lists.join(
        [
            _match(session, project_id, filters, other_bounds),
            *_few_of_labels_and_sweep(session, project_id, filters),
        ]
    )

    def of_result(attribute: Any) -> Any:
        # Where results are read in their order, the id is known before the job is read.
        return JobResultRow.job_id if attribute is JobRow.id else unindexed(attribute)

    indexed = _conditions(project_id, filters, unindexed if matches.is_few else _indexed)
    # Of failed jobs few have results: their index is a short one.
    has_results = [JobRow.results.is_not(None)] if filters.statuses else []
    conditions = Conditions(
        indexed=[*indexed, *matches.conditions],
        of_measured=[*indexed, *matches.conditions, *has_results],
        unindexed=[*_conditions(project_id, filters, of_result), *matches.conditions],
        bounds=[bound for bound in filters.bounds if bound.column == column],
        is_filtered=filters != JobFilters(bounds=filters.bounds) or bool(other_bounds),
        is_few=matches.is_few,
    )
    return SortedList(lists.JOBS, _LISTED, project_id, column, sort.startswith("-"), conditions)


def _few_of_labels_and_sweep(
    session: Session, project_id: str, filters: JobFilters
) -> Iterator[Matches]:
    """Yield the ids of the jobs with a label, and of those in the sweep, where they are few."""
    for key, value in filters.labels.items():
        of_label = _has_label(JobLabelRow, project_id, key, value)
        yield lists.few(session, JobRow.id, select(JobLabelRow.job_id).where(*of_label))
    if filters.sweep is not None and is_id(filters.sweep):
        in_sweep = JobRow.sweep_id == filters.sweep
        yield lists.few(session, JobRow.id, select(JobRow.id).where(in_sweep))


def parse_sort_column(sort: str) -> ResultColumn:
    """Return the column of a result to sort by. Raises Invalid."""
    try:
        return parse_column(sort.removeprefix("-"))
    except ValueError as error:
        message = (
            "A list is sorted by created_at (of jobs also by finished_at) or by a result, - for "
            f"descending. {error}"
        )
        raise Invalid.field("sort", message=message) from error


def count(
    session: Session,
    project_id: str,
    filters: JobFilters | None = None,
    *,
    sort: str = "-created_at",
) -> int:
    """Return how many of the project's jobs match, and are in the lists of this order."""
    in_order = _in_order(filters or JobFilters(), sort)
    return sum(status_counts(session, project_id, in_order).values())


def status_counts(
    session: Session, project_id: str, filters: JobFilters | None = None
) -> dict[Status, int]:
    """Return how many of the project's jobs match, by their status; without those of none."""
    filters = filters or JobFilters()
    if replace(filters, statuses=()) == JobFilters():
        return _counts_without_deleted(session, project_id, filters.statuses)
    matches = _match(session, project_id, filters, filters.bounds)
    conditions = _conditions(project_id, filters, unindexed if matches.is_few else _indexed)
    return _counts(session, *conditions, *matches.conditions, is_few=matches.is_few)


def count_by_status(session: Session) -> dict[Status, int]:
    """Return the number of jobs in each status over all projects, for gauges."""
    return _counts_without_deleted(session)


def _counts_without_deleted(
    session: Session, project_id: str | None = None, statuses: Sequence[Status] = ()
) -> dict[Status, int]:
    """Count in two queries that an index alone can answer: all jobs, and the few deleted ones."""

    def conditions(column: Callable[[Any], Any]) -> Iterator[ColumnElement[bool]]:
        if project_id is not None:
            yield column(JobRow.project_id) == project_id
        if statuses:
            yield column(JobRow.status).in_(statuses)

    counts = _counts(session, *conditions(_indexed), is_few=False)
    deleted = _counts(session, *conditions(unindexed), ~JobRow.live(), is_few=True)
    differences = {status: count - deleted.get(status, 0) for status, count in counts.items()}
    return {status: count for status, count in differences.items() if count > 0}


def _counts(session: Session, *conditions: ColumnElement[bool], is_few: bool) -> dict[Status, int]:
    """``is_few``: few jobs match, and are not to be looked for in the order of their status."""
    group = unindexed(JobRow.status) if is_few else JobRow.status
    statement = select(JobRow.status, func.count()).where(*conditions).group_by(group)
    return dict(session.execute(statement).all())


def versions(session: Session, job_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """Return version and last event number of each of these jobs, of any project.

    For event streams, whose callers were authorized when the stream began.
    """
    columns = (JobRow.id, JobRow.version, JobRow.event_seq)
    rows = session.execute(select(*columns).where(JobRow.id.in_(job_ids)))
    return {row.id: (row.version, row.event_seq) for row in rows}


def list_by_ids(session: Session, job_ids: Collection[str]) -> list[JobRow]:
    """Return those of these jobs that exist, of any project and deleted ones, too."""
    return list(session.scalars(select(JobRow).where(JobRow.id.in_(job_ids))))


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


def edit(session: Session, job: JobRow, patch: Mapping[str, Any]) -> bool:
    """Change name, notes and metadata of a job that is locked; return whether anything changed.

    ``patch``: a JSON merge patch. The spec stays as it was submitted. Raises Invalid for too much
    metadata.
    """
    fields = apply_edit(job, patch)
    if "metadata" in fields:
        session.execute(delete_rows(JobLabelRow).where(JobLabelRow.job_id == job.id))
        _add_labels(session, job)
    if fields:
        session.flush()
        search_words.index(session, job)
        events.append(session, job, "edited", {"fields": fields})
    return bool(fields)


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


def count_queued(session: Session) -> int:
    """Return the number of queued jobs of all projects."""
    return session.scalar(select(func.count()).where(JobRow.status == "queued")) or 0


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


def _add_inputs(session: Session, job: JobRow) -> None:
    """Record the job's models and its extra data set as rows, for lineage."""
    input_ids = {role: _value_at(job.spec, path) for role, path in INPUT_ROLES.items()}
    teacher_role = "reference" if job.kind == "evaluation" else "teacher"
    for role, input_id in {teacher_role: job.teacher_id, **input_ids}.items():
        if input_id is not None:
            columns = {"job_id": job.id, "created_at": job.created_at}
            session.add(JobInputRow(role=role, input_id=input_id, **columns))
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


def _indexed(column: Any) -> Any:
    return column


def _conditions(
    project_id: str, filters: JobFilters, column: Callable[[Any], Any] = _indexed
) -> list[ColumnElement[bool]]:
    """``column``: ``unindexed`` where no index on the jobs is to serve the conditions."""
    conditions = [column(JobRow.project_id) == project_id]
    if not filters.deleted:  # ``_match`` has the condition of deleted ones
        conditions.append(JobRow.live())
    if filters.ended:
        conditions.append(JobRow.finished_at.is_not(None))
    if filters.statuses:
        conditions.append(column(JobRow.status).in_(filters.statuses))
    if filters.kinds:
        conditions.append(column(JobRow.kind).in_(filters.kinds))
    if filters.method is not None:
        conditions.append(column(JobRow.method) == filters.method)
    if filters.student is not None:
        conditions.append(column(JobRow.student) == filters.student)
    if filters.dataset is not None:
        visible = or_(DatasetRow.project_id == project_id, DatasetRow.project_id.is_(None))
        named = select(DatasetRow.id).where(
            visible, DatasetRow.live(), DatasetRow.name == filters.dataset
        )
        # A deleted data set's id matches as well: the jobs that used it are still there.
        ids = union_all(select(literal(filters.dataset)), named)
        conditions.append(column(JobRow.dataset_id).in_(ids))
    if filters.sweep is not None:
        in_sweep = column(JobRow.sweep_id) == filters.sweep
        conditions.append(in_sweep if is_id(filters.sweep) else false())
    for key, value in filters.labels.items():
        label = aliased(JobLabelRow)
        conditions.append(
            column(JobRow.id).in_(
                select(label.job_id).where(*_has_label(label, project_id, key, value))
            )
        )
    return conditions


def _has_label(
    label: type[JobLabelRow], project_id: str, key: str, value: str
) -> tuple[ColumnElement[bool], ...]:
    return label.project_id == project_id, label.key == key, label.value == value
