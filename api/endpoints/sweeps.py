"""Sweeps: submit many jobs that differ in a few settings, follow them, and get their table."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request, Response
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.dependencies import (
    After,
    Database,
    IdempotentWork,
    IncludeTotal,
    Limit,
    QueryBool,
    Reader,
    Submitter,
)
from api.http.authenticated_route import AuthenticatedRoute
from api.http.lists.table_responses import TABLE_CONTENT, Format, table_response
from api.http.validation import MAX_ERRORS
from api.openapi.responses import SWEEP_EXAMPLES, created, problems
from api.representation import from_rows, schemas
from api.representation.json_response import json_response
from api.representation.pagination import page_of
from api.representation.submission.dry_run import SweepDryRunJob, SweepDryRunResponse
from api.representation.tables.sweep import sweep_csv, sweep_tables
from api.submission.cost.dry_run import estimate_sweep
from api.submission.cost.memory_estimate import memory_warnings
from api.submission.estimate import estimate_cost
from api.submission.prepare import PreparedJob, prepare_job, validate_spec
from core.errors import FieldError, Invalid
from core.jobspec.sweep import SweepPoint, SweepSpec, expand
from core.reportspec.table import JobOutcome, Table, tabulate
from core.store import jobs, sweeps
from core.store.database.engine import read_session
from core.store.database.tables import SweepRow

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"], route_class=AuthenticatedRoute)

PreparedSweep = list[tuple[SweepPoint, PreparedJob]]


@router.post(
    "",
    status_code=201,
    response_model=schemas.SweepResponse,
    responses={
        200: {
            "model": SweepDryRunResponse,
            "description": "With `dry_run=true`: nothing was stored",
        },
        **created("/v1/sweeps/{id}", "sweep_id", "get_sweep", "cancel_sweep", "get_table"),
        **problems(409),
    },
)
def submit_sweep(
    sweep: Annotated[SweepSpec, Body(openapi_examples=SWEEP_EXAMPLES)],
    caller: Submitter,
    engine: Database,
    work: IdempotentWork,
    dry_run: Annotated[
        QueryBool, Query(description="Only validate, resolve and estimate every job.")
    ] = False,
) -> Response:
    """Queue a job for every row and every combination of the axes' values.

    Either all of them are queued or, if one could not run, none. The jobs are ordinary ones:
    `GET /v1/jobs?sweep=ID` lists them.
    """
    if dry_run:
        with read_session(engine) as session:
            prepared_sweep = _prepare(session, caller.project_id, sweep)
        return json_response(_dry_run_response(engine, caller.project_id, prepared_sweep))

    def enqueue(session: Session) -> tuple[int, schemas.SweepResponse]:
        prepared_sweep = _prepare(session, caller.project_id, sweep)
        row = sweeps.create(session, caller.project_id, sweep)
        for index, (point, prepared) in enumerate(prepared_sweep):
            job = jobs.submit(
                session,
                caller.project_id,
                prepared.spec,
                dataset_id=prepared.dataset_id,
                teacher_id=prepared.teacher_id,
                position=jobs.SweepPosition(row.id, index, point.line_name),
            )
            work.wake_workers(job.id)
        return 201, _sweep_response(session, row)

    return work.commit(enqueue, location="/v1/sweeps/{id}")


@router.get("")
def list_sweeps(
    caller: Reader,
    engine: Database,
    limit: Limit = 50,
    after: After = None,
    include_total: IncludeTotal = False,
) -> schemas.Page[schemas.SweepSummaryResponse]:
    """List the sweeps of the API key's project, newest first."""
    with read_session(engine) as session:
        rows, next_cursor = sweeps.list_sweeps(session, caller.project_id, after=after, limit=limit)
        counts = sweeps.count_by_status(session, [row.id for row in rows])
        total = sweeps.count(session, caller.project_id) if include_total else None
    summaries = [from_rows.sweep_summary(row, counts[row.id]) for row in rows]
    return page_of(summaries, next_cursor, total)


@router.get("/{sweep_id}", responses=problems(404))
def get_sweep(sweep_id: str, caller: Reader, engine: Database) -> schemas.SweepResponse:
    """Get a sweep as it was submitted, with the number of its jobs by status."""
    with read_session(engine) as session:
        return _sweep_response(session, sweeps.get(session, caller.project_id, sweep_id))


@router.post(
    "/{sweep_id}/cancel",
    status_code=202,
    response_model=schemas.SweepResponse,
    responses={
        200: {
            "model": schemas.SweepResponse,
            "description": "All of its jobs had ended or were being cancelled already",
        },
        **problems(404),
    },
)
def cancel_sweep(sweep_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Cancel all jobs of a sweep that have not ended."""

    def cancel(session: Session) -> tuple[int, schemas.SweepResponse]:
        row = sweeps.get(session, caller.project_id, sweep_id)
        changed = sweeps.cancel_jobs(session, caller.project_id, row.id)
        return 202 if changed else 200, _sweep_response(session, row)

    return work.commit(cancel)


@router.get(
    "/{sweep_id}/table",
    response_model=Table,
    responses={
        200: {
            "description": "The table: as JSON, CSV, Markdown or LaTeX",
            "content": TABLE_CONTENT,
        },
        **problems(404),
    },
)
def get_table(
    sweep_id: str,
    request: Request,
    caller: Reader,
    engine: Database,
    network: Annotated[
        Literal["best", "last"],
        Query(description="The student of the epoch that held-out images choose, or of the last."),
    ] = "best",
    form: Format = None,
) -> Response:
    """Get the results so far: mean and standard deviation over the seeds, a line per combination.

    `best` marks the line with the highest robust accuracy on held-out training images, of those
    that were validated under the same threat model; test images choose nothing.
    """
    with read_session(engine) as session:
        row = sweeps.get(session, caller.project_id, sweep_id)
        job_rows = sweeps.jobs_of(session, row.id)
    outcomes = [
        JobOutcome(str(job.sweep_line), job.status == "succeeded", job.results or {})
        for job in job_rows
    ]
    table = tabulate(outcomes, network)
    return table_response(
        request, form, table, lambda: sweep_csv(table), lambda: sweep_tables(table)
    )


def _sweep_response(session: Session, row: SweepRow) -> schemas.SweepResponse:
    return from_rows.sweep(row, sweeps.count_by_status(session, [row.id])[row.id])


def _dry_run_response(
    engine: Engine, project_id: str, prepared_sweep: PreparedSweep
) -> SweepDryRunResponse:
    jobs_to_run = [
        SweepDryRunJob(line=point.line_name, title=point.title, spec=prepared.spec)
        for point, prepared in prepared_sweep
    ]
    passes = sum(estimate_cost(prepared).network_passes for _, prepared in prepared_sweep)
    estimate = estimate_sweep(engine, project_id, [prepared for _, prepared in prepared_sweep])
    return SweepDryRunResponse(
        jobs=jobs_to_run,
        network_passes=passes,
        estimate=estimate,
        warnings=memory_warnings(estimate.memory),
    )


def _prepare(session: Session, project_id: str, sweep: SweepSpec) -> PreparedSweep:
    """Validate and resolve every job. Raises Invalid with what is wrong with any of them."""
    prepared_sweep: PreparedSweep = []
    titles_by_error: dict[FieldError, list[str]] = {}
    for point in expand(sweep):
        try:
            prepared = prepare_job(session, project_id, validate_spec(point.body))
            prepared_sweep.append((point, prepared))
        except Invalid as invalid:
            for error in invalid.errors:
                titles_by_error.setdefault(error, []).append(point.title)
        if len(titles_by_error) >= MAX_ERRORS:
            break
    if titles_by_error:
        raise _cannot_run(titles_by_error, sweep.size)
    _refuse_equal_jobs(prepared_sweep)
    return prepared_sweep


def _cannot_run(titles_by_error: dict[FieldError, list[str]], size: int) -> Invalid:
    """Make one error of all; those that not every job has name the jobs that have them."""
    errors = []
    for error, titles in list(titles_by_error.items())[:MAX_ERRORS]:
        more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
        prefix = "" if len(titles) == size else f"{titles[0]}{more}: "
        errors.append(FieldError(("base", *error.path), prefix + error.message))
    message = "This sweep could not run: " + " ".join(error.message for error in errors[:5])
    return Invalid(message, errors, code="sweep_cannot_run")


def _refuse_equal_jobs(prepared_sweep: PreparedSweep) -> None:
    """Raises Invalid: two equal jobs would count twice in a mean."""
    title_by_spec: dict[str, str] = {}
    for point, prepared in prepared_sweep:
        spec = prepared.spec.model_copy(update={"name": None}).model_dump_json()
        if spec in title_by_spec:
            raise Invalid.field(
                "axes",
                message=f"{title_by_spec[spec]} and {point.title} are the same job.",
                code="sweep_cannot_run",
            )
        title_by_spec[spec] = point.title
