"""Jobs: submit, list, get, cancel, pause, resume, retry, delete, restore, clone."""

from typing import Annotated, Any
from zlib import crc32

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from api.dependencies import (
    After,
    Database,
    Deleted,
    IdempotentWork,
    IncludeTotal,
    Limit,
    QueryBool,
    Reader,
    SearchText,
    Submitter,
    Work,
)
from api.http.authenticated_route import AuthenticatedRoute
from api.http.conditional import IfMatch, entity_tag, is_not_modified, require_match
from api.http.lists.result_filters import result_filters
from api.http.unit_of_work import UnitOfWork
from api.openapi.responses import (
    CLONE_EXAMPLES,
    JOB_EXAMPLES,
    MERGE_PATCH,
    METADATA_FILTER,
    NOT_MODIFIED,
    RESULT_FILTER,
    Responses,
    created,
    problems,
)
from api.representation import from_rows, schemas
from api.representation.edits import EditJobRequest
from api.representation.job_lists import JobCountsResponse, JobPage, job_counts, job_page
from api.representation.json_response import json_response
from api.representation.submission.dry_run import DryRunResponse
from api.submission.cost.dry_run import estimate_job
from api.submission.cost.memory_estimate import memory_warnings
from api.submission.prepare import prepare_job, validate_spec
from core.errors import Conflict, FieldError, Invalid
from core.jobspec import resolved
from core.jobspec.job import LabelKey, ShortText, SubmittedSpec
from core.jobspec.merge_patch import apply_patch
from core.jobspec.status import Action, Status
from core.store import jobs
from core.store.database.engine import read_session
from core.store.database.tables import JobRow
from core.store.lifecycle.transitions import IMPORTS

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=AuthenticatedRoute)
counts_router = APIRouter(prefix="/v1/job-counts", tags=["jobs"], route_class=AuthenticatedRoute)

MAX_METADATA_FILTERS = 32
"""A job has no more entries in its metadata."""
JOB_LINKS = (
    "get_job",
    "edit_job",
    "cancel_job",
    "pause_job",
    "resume_job",
    "retry_job",
    "clone_job",
    "list_events",
    "list_attempts",
    "get_logs",
    "get_metrics",
    "list_artifacts",
    "list_checkpoints",
)
JOB_CREATED: Responses = created("/v1/jobs/{id}", "job_id", *JOB_LINKS)
ACTION_RESPONSES: Responses = {
    200: {
        "model": schemas.JobResponse,
        "description": "The same was requested before: nothing has changed",
    },
    **problems(404, 409),
}
StatusFilter = Annotated[list[Status] | None, Query(description="Repeat it for several statuses.")]
KindFilter = Annotated[
    list[schemas.JobKind] | None, Query(description="Repeat it for several kinds.")
]
StudentFilter = Annotated[
    str | None, Query(max_length=100, description="Architecture of the student.")
]
DatasetFilter = Annotated[
    str | None, Query(max_length=100, description="Id or name of the data set.")
]
SweepFilter = Annotated[
    str | None, Query(max_length=100, description="Id of the sweep that the jobs belong to.")
]
JobSort = Annotated[
    str,
    Query(
        max_length=250,
        description="`created_at`, `finished_at`, or the key of a result, such as "
        "`autoattack@linf:8/255`; with - before it, the greatest first.",
    ),
]
_metadata_entry: TypeAdapter[tuple[str, str]] = TypeAdapter(tuple[LabelKey, ShortText])


async def _job_filters(
    request: Request,
    status: StatusFilter = None,
    kind: KindFilter = None,
    method: Annotated[str | None, Query(max_length=100)] = None,
    student: StudentFilter = None,
    dataset: DatasetFilter = None,
    sweep: SweepFilter = None,
    q: SearchText = None,
    deleted: Deleted = False,
) -> jobs.JobFilters:
    """Return the filters of a request for a list of jobs, or for a number of them."""
    return jobs.JobFilters(
        statuses=tuple(status or ()),
        kinds=tuple(kind or ()),
        method=method,
        student=student,
        dataset=dataset,
        labels=_metadata_filters(request),
        sweep=sweep,
        bounds=result_filters(request),
        text=q,
        deleted=deleted,
    )


Filters = Annotated[jobs.JobFilters, Depends(_job_filters)]


@router.post(
    "",
    status_code=201,
    response_model=schemas.JobResponse,
    responses={
        200: {
            "model": DryRunResponse,
            "description": "With `dry_run=true`: nothing was stored",
        },
        **JOB_CREATED,
        **problems(409),
    },
)
def submit_job(
    spec: Annotated[SubmittedSpec, Body(openapi_examples=JOB_EXAMPLES)],
    caller: Submitter,
    engine: Database,
    work: IdempotentWork,
    dry_run: Annotated[
        QueryBool, Query(description="Only validate, resolve and estimate the job.")
    ] = False,
) -> Response:
    """Queue a job. A job that no worker could run is refused, with every field that is wrong.

    The spec is stored with all defaults resolved: a default that changes later does not change
    this job.
    """
    if dry_run:
        with read_session(engine) as session:
            prepared = prepare_job(session, caller.project_id, spec)
        estimate = estimate_job(engine, caller.project_id, prepared)
        return json_response(
            DryRunResponse(
                spec=prepared.spec,
                dataset_id=prepared.dataset_id,
                teacher_id=prepared.teacher_id,
                estimate=estimate,
                warnings=memory_warnings(estimate.memory),
            )
        )
    return work.commit(
        lambda session: _enqueue(session, work, caller.project_id, spec), location="/v1/jobs/{id}"
    )


def _enqueue(
    session: Session,
    work: UnitOfWork,
    project_id: str,
    spec: SubmittedSpec,
    cloned_from: str | None = None,
) -> tuple[int, schemas.JobResponse]:
    prepared = prepare_job(session, project_id, spec)
    job = jobs.submit(
        session,
        project_id,
        prepared.spec,
        dataset_id=prepared.dataset_id,
        teacher_id=prepared.teacher_id,
        cloned_from=cloned_from,
    )
    work.wake_workers(job.id)
    return 201, from_rows.job(session, job)


@router.get(
    "",
    response_model=JobPage,
    openapi_extra={"parameters": [METADATA_FILTER, RESULT_FILTER]},
)
def list_jobs(
    caller: Reader,
    engine: Database,
    filters: Filters,
    sort: JobSort = "-created_at",
    limit: Limit = 50,
    after: After = None,
    include_total: IncludeTotal = False,
) -> Response:
    """List the jobs of the API key's project, newest first, without specs and status histories.

    Sorted by a result, jobs without it come last. Sorted by `finished_at`, only jobs that have
    ended are listed.
    """
    with read_session(engine) as session:
        rows, next_cursor = jobs.list_jobs(
            session, caller.project_id, filters, sort=sort, after=after, limit=limit
        )
        page = job_page(from_rows.job_summaries(session, rows), next_cursor)
        if include_total:
            page.total = jobs.count(session, caller.project_id, filters, sort=sort)
    return json_response(page)


@counts_router.get(
    "",
    response_model=JobCountsResponse,
    openapi_extra={"parameters": [METADATA_FILTER, RESULT_FILTER]},
)
def count_jobs(caller: Reader, engine: Database, filters: Filters) -> Response:
    """Count the jobs that match the filters of a list, by status."""
    with read_session(engine) as session:
        counts = jobs.status_counts(session, caller.project_id, filters)
    return json_response(job_counts(counts, filters.statuses))


def _metadata_filters(request: Request) -> dict[str, str]:
    """Parse every ``metadata[key]=value`` of the query string. Raises Invalid."""
    filters: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if not name.startswith("metadata["):
            continue
        key = name[len("metadata[") : -1] if name.endswith("]") else ""
        try:
            key, text = _metadata_entry.validate_python((key, value))
        except ValidationError:
            message = (
                "Write metadata[key]=value: a key of letters, digits, '_', '.' and '-', "
                "and a value of at most 200 characters."
            )
            raise Invalid(
                "A filter on metadata is malformed.", [FieldError((name[:100],), message)]
            ) from None
        filters[key] = text
    if len(filters) > MAX_METADATA_FILTERS:
        message = f"At most {MAX_METADATA_FILTERS} filters on metadata are possible."
        raise Invalid.field("metadata", message=message)
    return filters


@router.get(
    "/{job_id}", response_model=schemas.JobResponse, responses={**NOT_MODIFIED, **problems(404)}
)
def get_job(job_id: str, request: Request, caller: Reader, engine: Database) -> Response:
    """Get a job. Its ETag changes whenever anything in the response does."""
    with read_session(engine) as session:
        row = jobs.get(session, caller.project_id, job_id)
        state = from_rows.queue_state(session, row)
        etag = _entity_tag(row, state)
        if is_not_modified(request, etag):
            return Response(status_code=304, headers={"ETag": etag})
        job = from_rows.job(session, row, state)
    return json_response(job, {"ETag": etag})


def _entity_tag(row: JobRow, state: from_rows.QueueState) -> str:
    reason_hash = crc32((state.reason or "").encode())
    return entity_tag(row.edits, row.version, state.position or 0, f"{reason_hash:x}")


@router.patch(
    "/{job_id}",
    response_model=schemas.JobResponse,
    openapi_extra=MERGE_PATCH,
    responses=problems(404, 412),
)
def edit_job(
    job_id: str,
    body: EditJobRequest,
    caller: Submitter,
    work: IdempotentWork,
    if_match: IfMatch = None,
) -> Response:
    """Change a job's name, notes or metadata, in any status, by a JSON merge patch (RFC 7396).

    The spec, whose name and metadata are those of the submission, stays as it is.
    """
    headers: dict[str, str] = {}

    def edit(session: Session) -> tuple[int, schemas.JobResponse]:
        row = jobs.get(session, caller.project_id, job_id, lock=True)
        require_match(if_match, row.edits)
        jobs.edit(session, row, body.as_patch())
        state = from_rows.queue_state(session, row)
        headers["ETag"] = _entity_tag(row, state)
        return 200, from_rows.job(session, row, state)

    response = work.commit(edit)
    response.headers.update(headers)
    return response


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    response_model=schemas.JobResponse,
    responses=ACTION_RESPONSES,
)
def cancel_job(job_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Cancel a job. One that is queued is cancelled at once.

    One that is running is `cancelling` until its trainer has ended.
    """
    return _apply_action(work, caller.project_id, job_id, "cancel")


@router.post(
    "/{job_id}/pause",
    status_code=202,
    response_model=schemas.JobResponse,
    responses=ACTION_RESPONSES,
)
def pause_job(job_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Pause a job: it writes a checkpoint and releases its worker.

    It is `pausing` until its trainer has ended, then `paused` until it is resumed.
    """
    return _apply_action(work, caller.project_id, job_id, "pause")


@router.post(
    "/{job_id}/resume",
    status_code=202,
    response_model=schemas.JobResponse,
    responses=ACTION_RESPONSES,
)
def resume_job(job_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Queue a paused job, which continues from its last checkpoint."""
    return _apply_action(work, caller.project_id, job_id, "resume")


@router.post(
    "/{job_id}/retry",
    status_code=202,
    response_model=schemas.JobResponse,
    responses=ACTION_RESPONSES,
)
def retry_job(job_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Queue a failed or cancelled job again. It continues from its last checkpoint.

    It keeps its place in its sweep, and its failures are counted from zero again.
    """
    return _apply_action(work, caller.project_id, job_id, "retry")


def _apply_action(work: UnitOfWork, project_id: str, job_id: str, action: Action) -> Response:
    def apply(session: Session) -> tuple[int, schemas.JobResponse]:
        job, changed = jobs.apply_action(session, project_id, job_id, action)
        if job.status == "queued":
            work.wake_workers(job.id)
        return 202 if changed else 200, from_rows.job(session, job)

    return work.commit(apply)


@router.delete("/{job_id}", response_model=schemas.JobResponse, responses=problems(404, 409))
def delete_job(job_id: str, caller: Submitter, work: Work) -> Response:
    """Delete a job that has ended, with its files. A student that it has published stays.

    For some days the job can be restored.
    """

    def delete(session: Session) -> tuple[int, schemas.JobResponse]:
        return 200, from_rows.job(session, jobs.delete(session, caller.project_id, job_id))

    return work.commit(delete)


@router.post("/{job_id}/restore", response_model=schemas.JobResponse, responses=problems(404, 409))
def restore_job(job_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Undo the deletion of a job, as long as its files have not been removed."""

    def restore(session: Session) -> tuple[int, schemas.JobResponse]:
        return 200, from_rows.job(session, jobs.restore(session, caller.project_id, job_id))

    return work.commit(restore)


@router.post(
    "/{job_id}/clone",
    status_code=201,
    response_model=schemas.JobResponse,
    responses={**JOB_CREATED, **problems(404, 409)},
)
def clone_job(
    job_id: str,
    caller: Submitter,
    work: IdempotentWork,
    changes: Annotated[dict[str, Any] | None, Body(openapi_examples=CLONE_EXAMPLES)] = None,
) -> Response:
    """Submit the same job again, with changes: a JSON merge patch (RFC 7396) of the stored spec.

    In it null removes a field. An object that changes its kind, such as
    `{"method": {"name": "arkd"}}`, is replaced, not merged. Name and metadata are taken from the
    job as it is now; its notes stay with it.
    """

    def clone(session: Session) -> tuple[int, schemas.JobResponse]:
        job = jobs.get(session, caller.project_id, job_id)
        if job.kind in IMPORTS:
            raise Conflict(f"Job {job.id} is an import; upload again instead.", code="not_clonable")
        # Every value written out: what an earlier release did not know gets its default here, not
        # what the preset says today.
        stored = resolved.parse(job.spec).model_dump(mode="json")
        stored |= {"name": job.name, "metadata": job.labels}
        spec = validate_spec(apply_patch(stored, changes or {}))
        return _enqueue(session, work, caller.project_id, spec, cloned_from=job.id)

    return work.commit(clone, location="/v1/jobs/{id}")
