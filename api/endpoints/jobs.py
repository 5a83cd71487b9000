"""Jobs: submit, list, look at, cancel, pause, resume, retry, delete, restore, clone."""

from functools import partial
from typing import Annotated, Any, Literal
from zlib import crc32

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from api.dependencies import After, Database, QueryBool, Limit, Reader, ServiceSettings, Submitter
from api.http.authenticated_route import AuthenticatedRoute
from api.http.authentication import Principal
from api.http.conditional import is_not_modified
from api.http.idempotency import Once, OnceOnly
from api.openapi.responses import (
    CLONE_EXAMPLES,
    JOB_EXAMPLES,
    METADATA_FILTER,
    NOT_MODIFIED,
    created,
    problems,
)
from api.representation import from_rows, schemas
from api.submission import estimate, prepare
from core import queue
from core.errors import Conflict, FieldError, Invalid
from core.jobspec.job import Label, SubmittedSpec, Text
from core.jobspec.merge_patch import changed
from core.jobspec.status import Action, Status
from core.store import jobs
from core.store.database.engine import read_session, write_session
from core.store.lifecycle.transitions import IMPORTS

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=AuthenticatedRoute)

_label: TypeAdapter[tuple[str, str]] = TypeAdapter(tuple[Label, Text])
Kind = Literal[
    "distillation", "adversarial_training", "evaluation", "import_model", "import_dataset"
]
OF_A_JOB = (
    "get_job",
    "cancel_job",
    "pause_job",
    "resume_job",
    "retry_job",
    "clone_job",
    "list_events",
    "get_metrics",
    "list_artifacts",
    "list_checkpoints",
)
MOST_LABELS = 32
Name = Annotated[str | None, Query(max_length=100)]
ACTED: dict[int | str, dict[str, Any]] = {
    200: {
        "model": schemas.JobResponse,
        "description": "It was asked for before; nothing has changed",
    },
    **problems(404, 409),
}


@router.post(
    "",
    status_code=201,
    response_model=schemas.JobResponse,
    responses={
        200: {
            "model": schemas.DryRunResponse,
            "description": "With `dry_run=true`: nothing was stored",
        },
        **created("/v1/jobs/{id}", "job_id", *OF_A_JOB),
        **problems(409),
    },
)
def submit_job(
    spec: Annotated[SubmittedSpec, Body(openapi_examples=JOB_EXAMPLES)],
    caller: Submitter,
    engine: Database,
    settings: ServiceSettings,
    once: OnceOnly,
    dry_run: Annotated[
        QueryBool, Query(description="Check and resolve only: nothing is stored.")
    ] = False,
) -> Any:
    """Queue a job. What no worker could carry out is refused here, with every field that is wrong.

    The spec is stored fully resolved: a default that changes later does not change this job.
    """
    if dry_run:
        with read_session(engine) as session:
            ready = prepare.prepare_job(session, caller.project_id, spec)
        answer = schemas.DryRunResponse(
            spec=ready.spec,
            dataset_id=ready.dataset_id,
            teacher_id=ready.teacher_id,
            estimate=estimate.estimate_cost(ready),
        )
        return Response(answer.model_dump_json(by_alias=True), 200, media_type="application/json")

    def act(session: Session) -> tuple[int, schemas.JobResponse]:
        job = prepare.submit(session, once, settings, caller.project_id, spec)
        return 201, from_rows.job(session, job)

    return once.carry_out(act, location="/v1/jobs/{id}")


@router.get(
    "",
    response_model=schemas.Page[schemas.JobSummaryResponse],
    openapi_extra={"parameters": [METADATA_FILTER]},
)
def list_jobs(
    request: Request,
    caller: Reader,
    engine: Database,
    status: Annotated[list[Status] | None, Query(description="Repeat it for several.")] = None,
    kind: Annotated[list[Kind] | None, Query(description="Repeat it for several.")] = None,
    method: Name = None,
    student: Annotated[str | None, Query(max_length=100, description="An architecture.")] = None,
    dataset: Annotated[str | None, Query(max_length=100, description="Id or name.")] = None,
    sweep: Annotated[
        str | None, Query(max_length=100, description="Id of the sweep that they are part of.")
    ] = None,
    sort: Literal["created_at", "-created_at"] = "-created_at",
    limit: Limit = 50,
    after: After = None,
    include_total: QueryBool = False,
) -> Any:
    """Jobs of the key's project, the newest first, without their specs and histories."""
    filters = jobs.JobFilters(
        statuses=tuple(status or ()),
        kinds=tuple(kind or ()),
        method=method,
        student=student,
        dataset=dataset,
        labels=_labels(request),
        sweep=sweep,
    )
    with read_session(engine) as session:
        rows, cursor = jobs.list_jobs(
            session, caller.project_id, filters, sort=sort, after=after, limit=limit
        )
        total = jobs.count(session, caller.project_id, filters) if include_total else None
    data = from_rows.job_summaries(rows)
    page = schemas.Page[schemas.JobSummaryResponse](
        data=data, has_more=cursor is not None, next_cursor=cursor, total=total
    )
    return Response(page.model_dump_json(by_alias=True), media_type="application/json")


@router.get(
    "/{job_id}", response_model=schemas.JobResponse, responses={**NOT_MODIFIED, **problems(404)}
)
def get_job(job_id: str, request: Request, caller: Reader, engine: Database) -> Any:
    """One job. Its ETag changes when anything in it does."""
    with read_session(engine) as session:
        row = jobs.get(session, caller.project_id, job_id)
        waits = from_rows.queue_state(session, row)
        etag = f'W/"{row.version}-{waits.position or 0}-{crc32((waits.reason or "").encode()):x}"'
        if is_not_modified(request, etag):
            return Response(status_code=304, headers={"ETag": etag})
        answer = from_rows.job(session, row, waits)
    return Response(
        answer.model_dump_json(by_alias=True), media_type="application/json", headers={"ETag": etag}
    )


@router.post(
    "/{job_id}/cancel", status_code=202, response_model=schemas.JobResponse, responses=ACTED
)
def cancel_job(job_id: str, caller: Submitter, once: OnceOnly) -> Any:
    """Ask for a job's end. A queued one is cancelled at once; a running one is `cancelling` until its trainer has ended."""
    return _act(once, caller, job_id, "cancel")


@router.post(
    "/{job_id}/pause", status_code=202, response_model=schemas.JobResponse, responses=ACTED
)
def pause_job(job_id: str, caller: Submitter, once: OnceOnly) -> Any:
    """Let go of the worker, behind a checkpoint: `pausing` until its trainer has ended, then `paused` until it is resumed."""
    return _act(once, caller, job_id, "pause")


@router.post(
    "/{job_id}/resume", status_code=202, response_model=schemas.JobResponse, responses=ACTED
)
def resume_job(job_id: str, caller: Submitter, settings: ServiceSettings, once: OnceOnly) -> Any:
    """Queue a paused job: it goes on from its last checkpoint."""
    once.afterwards(partial(queue.wake_workers, settings, job_id))
    return _act(once, caller, job_id, "resume")


@router.post(
    "/{job_id}/retry", status_code=202, response_model=schemas.JobResponse, responses=ACTED
)
def retry_job(job_id: str, caller: Submitter, settings: ServiceSettings, once: OnceOnly) -> Any:
    """Queue a failed or cancelled job once more: it goes on from its last checkpoint, in its place in its sweep.

    Its failures are counted from the beginning.
    """
    once.afterwards(partial(queue.wake_workers, settings, job_id))
    return _act(once, caller, job_id, "retry")


def _act(once: Once, caller: Principal, job_id: str, action: Action) -> Response:
    def act(session: Session) -> tuple[int, schemas.JobResponse]:
        job, changed = jobs.apply_action(session, caller.project_id, job_id, action)
        return 202 if changed else 200, from_rows.job(session, job)

    return once.carry_out(act)


@router.delete("/{job_id}", responses=problems(404, 409))
def delete_job(job_id: str, caller: Submitter, engine: Database) -> schemas.JobResponse:
    """One that has ended, with its files; a student that it has published stays. It can be restored for some days."""
    with write_session(engine) as session:
        return from_rows.job(session, jobs.delete(session, caller.project_id, job_id))


@router.post("/{job_id}/restore", response_model=schemas.JobResponse, responses=problems(404, 409))
def restore_job(job_id: str, caller: Submitter, once: OnceOnly) -> Any:
    """Undo a deletion, as long as what was deleted is still there."""

    def act(session: Session) -> tuple[int, schemas.JobResponse]:
        return 200, from_rows.job(session, jobs.restore(session, caller.project_id, job_id))

    return once.carry_out(act)


@router.post(
    "/{job_id}/clone",
    status_code=201,
    response_model=schemas.JobResponse,
    responses={**created("/v1/jobs/{id}", "job_id", *OF_A_JOB), **problems(404, 409)},
)
def clone_job(
    job_id: str,
    caller: Submitter,
    settings: ServiceSettings,
    once: OnceOnly,
    changes: Annotated[dict[str, Any] | None, Body(openapi_examples=CLONE_EXAMPLES)] = None,
) -> Any:
    """The same job again, with changes: a JSON merge patch (RFC 7396) on the stored spec, where null removes a field.

    An object in it that becomes another kind of thing (`{"method": {"name": "arkd"}}`) is replaced, not merged.
    """

    def act(session: Session) -> tuple[int, schemas.JobResponse]:
        stored = jobs.get(session, caller.project_id, job_id)
        if stored.kind in IMPORTS:
            raise Conflict(
                f"Job {stored.id} is an import; upload again instead.", code="not_clonable"
            )
        spec = prepare.validate_spec(changed(stored.spec, changes or {}))
        job = prepare.submit(session, once, settings, caller.project_id, spec)
        return 201, from_rows.job(session, job)

    return once.carry_out(act, location="/v1/jobs/{id}")


def _labels(request: Request) -> dict[str, str]:
    """``metadata[key]=value`` of the query string."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if not name.startswith("metadata["):
            continue
        try:
            key = name[len("metadata[") : -1] if name.endswith("]") else ""
            key, text = _label.validate_python((key, value))
        except ValidationError:
            message = "Write metadata[key]=value: a key of letters, digits, '_', '.' and '-', and a value of at most 200 characters."
            raise Invalid(
                "A filter on metadata cannot be read.", [FieldError((name[:100],), message)]
            ) from None
        found[key] = text
    if len(found) > MOST_LABELS:
        raise Invalid.field(
            "metadata", message=f"A job has at most {MOST_LABELS} labels, and so has a filter."
        )
    return found
