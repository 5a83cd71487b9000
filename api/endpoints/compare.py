"""A comparison of jobs: settings that differ, and accuracies with paired differences."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.dependencies import Database, QueryBool, QueryInt, Reader
from api.http.authenticated_route import AuthenticatedRoute
from api.http.lists.table_responses import TABLE_CONTENT, Format, table_response
from api.openapi.responses import problems
from api.representation.comparisons import (
    ComparedJob,
    ComparedMetricsResponse,
    ComparisonResponse,
    JobSeries,
)
from api.representation.from_rows import metric_series
from api.representation.json_response import json_response
from api.representation.tables.comparison import comparison_csv, comparison_tables
from core.errors import Invalid
from core.reportspec.comparison import comparison_sections, differing_settings
from core.store import metrics
from core.store.database.engine import read_session
from core.store.results.comparisons import (
    compared_jobs,
    evaluated_jobs,
    parameters_of,
    require_jobs,
)

router = APIRouter(prefix="/v1", tags=["results"], route_class=AuthenticatedRoute)

MIN_JOBS = 2
MAX_JOBS = 300
MAX_IDS_LENGTH = 64 * MAX_JOBS
MAX_METRICS = 20
MAX_POINTS = 1_000_000
"""In one response."""
MAX_VALUES = 5_000_000
"""That are read to be thinned for one response."""
JobIds = list[Annotated[str, Query(max_length=MAX_IDS_LENGTH)]]
Points = Annotated[
    QueryInt,
    Query(ge=4, le=10_000, description="Approximate maximum number of points per series."),
]
Network = Annotated[
    Literal["best", "last"],
    Query(
        description="The student of the epoch that held-out images choose, or of the last. Of an "
        "evaluation it is the evaluated model."
    ),
]


@router.get(
    "/compare",
    response_model=ComparisonResponse,
    responses={
        200: {
            "description": "The comparison: as JSON, or its tables as CSV, Markdown or LaTeX",
            "content": TABLE_CONTENT,
        },
        **problems(404),
    },
)
def compare_jobs(
    request: Request,
    caller: Reader,
    engine: Database,
    jobs: Annotated[
        JobIds, Query(description="Ids of 2 to 300 jobs, separated by commas, or one each.")
    ],
    base: Annotated[
        str | None,
        Query(
            max_length=64,
            description="The job to compare the others to. Default: the first that has results.",
        ),
    ] = None,
    network: Network = "best",
    per_class: Annotated[
        QueryBool, Query(description="Also return the accuracy of each class.")
    ] = False,
    form: Format = None,
) -> Response:
    """Compare jobs: the settings in which they differ, and their accuracies by threat model.

    Each accuracy is compared to the base job's, on the same images where both kept which images
    are correct: McNemar's exact test and Newcombe's interval, adjusted for the number of jobs.
    """
    job_ids = parse_job_ids(jobs)
    comparison = compare_by_id(engine, caller.project_id, job_ids, base, network, per_class)
    return table_response(
        request,
        form,
        comparison,
        lambda: comparison_csv(comparison),
        lambda: comparison_tables(comparison),
    )


@router.get("/compare/metrics", response_model=ComparedMetricsResponse, responses=problems(404))
def compare_metrics(
    caller: Reader,
    engine: Database,
    jobs: Annotated[
        JobIds, Query(description="Ids of 1 to 300 jobs, separated by commas, or one each.")
    ],
    names: Annotated[
        str, Query(min_length=1, max_length=4000, description="1 to 20 metrics, comma-separated.")
    ],
    points: Points = 500,
) -> Response:
    """Get the same metrics of many jobs in one response, each series thinned as a job's own.

    A job without any of the metrics has no series.
    """
    job_ids = parse_job_ids(jobs, least=1)
    metric_names = _parse_names(names)
    most_points = MAX_POINTS // (len(job_ids) * len(metric_names))
    if points > most_points:
        message = f"Ask for at most {most_points} points of each of so many series."
        raise Invalid.field("points", message=message)
    with read_session(engine) as session:
        require_jobs(session, caller.project_id, job_ids)
        _check_size(session, job_ids, metric_names)
        series = metrics.load_series(session, job_ids, metric_names, points)
    compared = [
        JobSeries(job_id=job_id, series=metric_series(series[job_id])) for job_id in job_ids
    ]
    return json_response(ComparedMetricsResponse(jobs=compared))


def _parse_names(text: str) -> list[str]:
    """Return the names, each once. Raises Invalid for none or too many."""
    names = list(dict.fromkeys(name for name in text.split(",") if name))
    if not 1 <= len(names) <= MAX_METRICS or "\0" in text:
        message = f"Name 1 to {MAX_METRICS} metrics, not {len(names)}."
        raise Invalid.field("names", message=message)
    return names


def _check_size(session: Session, job_ids: list[str], names: list[str]) -> None:
    """Raises Invalid where thinning the series would take too long."""
    count = metrics.count_values(session, job_ids, names)
    if count > MAX_VALUES:
        message = f"They have {count:,} values together; name jobs of at most {MAX_VALUES:,}."
        raise Invalid.field("jobs", message=message)


def parse_job_ids(texts: list[str], least: int = MIN_JOBS) -> list[str]:
    """Return the ids in their order, each once. Raises Invalid for too few or too many."""
    ids = (job_id.strip() for text in texts for job_id in text.split(","))
    job_ids = list(dict.fromkeys(job_id for job_id in ids if job_id))
    if not least <= len(job_ids) <= MAX_JOBS:
        message = f"Name {least} to {MAX_JOBS} jobs, not {len(job_ids)}."
        raise Invalid.field("jobs", message=message)
    return job_ids


def compare_by_id(
    engine: Engine,
    project_id: str,
    job_ids: list[str],
    base: str | None,
    network: Literal["best", "last"],
    per_class: bool,
) -> ComparisonResponse:
    """Raises NotFound, and Invalid for a base that is not among the jobs."""
    if base is not None and base not in job_ids:
        raise Invalid.field("base", message=f"{base!r} is not one of the jobs to compare.")
    with read_session(engine) as session:
        rows = compared_jobs(session, project_id, job_ids)
        evaluated = evaluated_jobs(session, rows, network, per_class=per_class)
        models = {
            row.id: row.evaluated_model_id if row.kind == "evaluation" else row.model_id
            for row in rows
        }
        parameters = parameters_of(session, list(models.values()))
    base = base or next((job.id for job in evaluated if job.accuracies), job_ids[0])
    compared = [
        ComparedJob(
            **{name: getattr(row, name) for name in ComparedJob.model_fields if hasattr(row, name)}
            | {
                "metadata": row.labels,
                "model_id": models[row.id],
                "parameters": parameters.get(models[row.id] or ""),
            }
        )
        for row in rows
    ]
    return ComparisonResponse(
        base=base,
        jobs=compared,
        settings=differing_settings(evaluated),
        sections=comparison_sections(evaluated, base, per_class=per_class),
    )
