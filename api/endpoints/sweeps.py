"""Sweeps: submit many jobs that differ where the sweep says so, watch them together, read their table."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Response
from sqlalchemy.orm import Session

from api.dependencies import After, Database, QueryBool, Limit, Reader, ServiceSettings, Submitter
from api.http.authenticated_route import AuthenticatedRoute
from api.http.idempotency import OnceOnly
from api.http.validation import MAX_ERRORS
from api.openapi.responses import SWEEP_EXAMPLES, created, problems
from api.representation import from_rows, schemas, tables
from api.submission import estimate as cost
from api.submission import prepare
from core.errors import FieldError, Invalid
from core.jobspec.sweep import SweepPoint, SweepSpec, points
from core.reportspec.table import Outcome, Table, tabulate
from core.store import jobs, sweeps
from core.store.database.engine import read_session

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"], route_class=AuthenticatedRoute)

OF_A_SWEEP = ("get_sweep", "cancel_sweep", "get_table")


@router.post(
    "",
    status_code=201,
    response_model=schemas.SweepResponse,
    responses={
        200: {
            "model": schemas.SweepDryRunResponse,
            "description": "With `dry_run=true`: nothing was stored",
        },
        **created("/v1/sweeps/{id}", "sweep_id", *OF_A_SWEEP),
        **problems(409),
    },
)
def submit_sweep(
    sweep: Annotated[SweepSpec, Body(openapi_examples=SWEEP_EXAMPLES)],
    caller: Submitter,
    engine: Database,
    settings: ServiceSettings,
    once: OnceOnly,
    dry_run: Annotated[
        QueryBool, Query(description="Check and resolve every job only: nothing is stored.")
    ] = False,
) -> Any:
    """Queue a job for every row and every combination of the axes' values; all of them, or, if one could not run, none.

    The jobs are ordinary ones: `GET /v1/jobs?sweep=ID` lists them.
    """
    if dry_run:
        with read_session(engine) as session:
            prepared = _prepare(session, caller.project_id, sweep)
        data = [
            schemas.SweepDryRunJob(line=point.line, title=point.title, spec=ready.spec)
            for point, ready in prepared
        ]
        estimates = [cost.estimate_cost(ready) for _, ready in prepared]
        total = sum(estimate.network_passes for estimate in estimates)
        return Response(
            schemas.SweepDryRunResponse(jobs=data, network_passes=total).model_dump_json(),
            media_type="application/json",
        )

    def act(session: Session) -> tuple[int, schemas.SweepResponse]:
        prepared = _prepare(session, caller.project_id, sweep)
        row = sweeps.create(session, caller.project_id, sweep)
        for index, (point, ready) in enumerate(prepared):
            prepare.queue_job(
                session,
                once,
                settings,
                caller.project_id,
                ready,
                jobs.SweepPosition(row.id, index, point.line),
            )
        return 201, from_rows.sweep(row, sweeps.count_by_status(session, [row.id])[row.id])

    return once.carry_out(act, location="/v1/sweeps/{id}")


@router.get("")
def list_sweeps(
    caller: Reader, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.SweepSummaryResponse]:
    """Sweeps of the key's project, the newest first."""
    with read_session(engine) as session:
        rows, cursor = sweeps.list_sweeps(session, caller.project_id, after=after, limit=limit)
        counts = sweeps.count_by_status(session, [row.id for row in rows])
    data = [from_rows.sweep_summary(row, counts[row.id]) for row in rows]
    return schemas.Page(data=data, has_more=cursor is not None, next_cursor=cursor)


@router.get("/{sweep_id}", responses=problems(404))
def get_sweep(sweep_id: str, caller: Reader, engine: Database) -> schemas.SweepResponse:
    """What was asked for, and how far it is."""
    with read_session(engine) as session:
        row = sweeps.get(session, caller.project_id, sweep_id)
        return from_rows.sweep(row, sweeps.count_by_status(session, [row.id])[row.id])


@router.post(
    "/{sweep_id}/cancel",
    status_code=202,
    response_model=schemas.SweepResponse,
    responses={
        200: {
            "model": schemas.SweepResponse,
            "description": "All of its jobs had ended or were being cancelled",
        },
        **problems(404),
    },
)
def cancel_sweep(sweep_id: str, caller: Submitter, once: OnceOnly) -> Any:
    """Ask for the end of all its jobs that have not ended."""

    def act(session: Session) -> tuple[int, schemas.SweepResponse]:
        row = sweeps.get(session, caller.project_id, sweep_id)
        changed = sweeps.cancel_jobs(session, caller.project_id, row.id)
        return 202 if changed else 200, from_rows.sweep(
            row, sweeps.count_by_status(session, [row.id])[row.id]
        )

    return once.carry_out(act)


@router.get(
    "/{sweep_id}/table",
    response_model=Table,
    responses={
        200: {
            "description": "The table: for programs, or as Markdown or CSV",
            "content": {
                media_type: {"schema": {"type": "string"}}
                for media_type in tables.MEDIA_TYPES.values()
            },
        },
        **problems(404),
    },
)
def get_table(
    sweep_id: str,
    caller: Reader,
    engine: Database,
    network: Annotated[
        Literal["best", "last"],
        Query(description="The epoch chosen by held-out images, or the last."),
    ] = "best",
    form: Annotated[Literal["json", "md", "csv"], Query(alias="format")] = "json",
) -> Any:
    """Mean and standard deviation over the seeds, a line for each combination, as far as the jobs are done.

    `best` marks the line with the highest robust accuracy on held-out training images; test images choose nothing.
    """
    with read_session(engine) as session:
        row = sweeps.get(session, caller.project_id, sweep_id)
        found = sweeps.jobs_of(session, row.id)
    outcomes = [
        Outcome(str(job.sweep_line), job.status == "succeeded", job.results or {}) for job in found
    ]
    table = tabulate(outcomes, network)
    if form == "json":
        return Response(table.model_dump_json(), media_type="application/json")
    return Response(tables.WRITERS[form](table), media_type=tables.MEDIA_TYPES[form])


def _prepare(
    session: Session, project_id: str, sweep: SweepSpec
) -> list[tuple[SweepPoint, prepare.PreparedJob]]:
    """Every job, checked and resolved. Raises Invalid with what is wrong with any of them."""
    found: list[tuple[SweepPoint, prepare.PreparedJob]] = []
    wrong: dict[FieldError, list[str]] = {}
    for point in points(sweep):
        try:
            found.append((point, prepare.prepare_job(session, project_id, prepare.validate_spec(point.body))))
        except Invalid as refused:
            for error in refused.errors:
                wrong.setdefault(error, []).append(point.title)
        if len(wrong) >= MAX_ERRORS:
            break
    if wrong:
        raise _refusal(wrong, sweep.size)
    _refuse_twins(found)
    return found


def _refusal(wrong: dict[FieldError, list[str]], size: int) -> Invalid:
    """What is wrong with every job is wrong with the base; anything else is told of the jobs that it is wrong with."""
    errors = []
    for error, titles in list(wrong.items())[:MAX_ERRORS]:
        more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
        whose = "" if len(titles) == size else f"{titles[0]}{more}: "
        errors.append(FieldError(("base", *error.path), whose + error.message))
    message = "This sweep could not run: " + " ".join(error.message for error in errors[:5])
    return Invalid(message, errors, code="sweep_cannot_run")


def _refuse_twins(found: list[tuple[SweepPoint, prepare.PreparedJob]]) -> None:
    """Two equal jobs would count twice in a mean."""
    seen: dict[str, str] = {}
    for point, ready in found:
        same = ready.spec.model_copy(update={"name": None}).model_dump_json()
        if same in seen:
            raise Invalid.field(
                "axes",
                message=f"{seen[same]} and {point.title} are the same job.",
                code="sweep_cannot_run",
            )
        seen[same] = point.title
