"""A comparison of jobs: settings that differ, and accuracies with paired differences."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Engine

from api.dependencies import Database, QueryBool, Reader
from api.http.authenticated_route import AuthenticatedRoute
from api.http.lists.table_responses import TABLE_CONTENT, Format, table_response
from api.openapi.responses import problems
from api.representation.comparisons import ComparedJob, ComparisonResponse
from api.representation.tables.comparison import comparison_csv, comparison_tables
from core.errors import Invalid
from core.reportspec.comparison import comparison_sections, differing_settings
from core.store.database.engine import read_session
from core.store.results.comparisons import compared_jobs, evaluated_jobs, parameters_of

router = APIRouter(prefix="/v1", tags=["results"], route_class=AuthenticatedRoute)

MIN_JOBS = 2
MAX_JOBS = 300
MAX_IDS_LENGTH = 64 * MAX_JOBS
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
        list[Annotated[str, Query(max_length=MAX_IDS_LENGTH)]],
        Query(description="Ids of 2 to 300 jobs, separated by commas, or one each."),
    ],
    base: Annotated[
        str | None,
        Query(max_length=64, description="The job to compare the others to. Default: the first."),
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


def parse_job_ids(texts: list[str]) -> list[str]:
    """Return the ids in their order, each once. Raises Invalid for too few or too many."""
    ids = (job_id.strip() for text in texts for job_id in text.split(","))
    job_ids = list(dict.fromkeys(job_id for job_id in ids if job_id))
    if not MIN_JOBS <= len(job_ids) <= MAX_JOBS:
        message = f"Name {MIN_JOBS} to {MAX_JOBS} jobs, not {len(job_ids)}."
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
    base = base or job_ids[0]
    if base not in job_ids:
        raise Invalid.field("base", message=f"{base!r} is not one of the jobs to compare.")
    with read_session(engine) as session:
        rows = compared_jobs(session, project_id, job_ids)
        evaluated = evaluated_jobs(session, rows, network, per_class=per_class)
        models = {
            row.id: row.evaluated_model_id if row.kind == "evaluation" else row.model_id
            for row in rows
        }
        parameters = parameters_of(session, list(models.values()))
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
