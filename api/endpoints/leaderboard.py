"""The leaderboard: models ranked by data set and threat model."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator

from api.dependencies import Database, QueryInt, Reader
from api.http.authenticated_route import AuthenticatedRoute
from api.http.lists.table_responses import TABLE_CONTENT, Format, table_response
from api.openapi.responses import problems
from api.representation.tables.leaderboard import leaderboard_csv, leaderboard_tables
from core.reportspec.leaderboard import Leaderboard
from core.reportspec.threat_model import Norm, parse_radius
from core.store.database.engine import read_session
from core.store.results import leaderboards
from core.store.results.leaderboards import LeaderboardFilters

router = APIRouter(prefix="/v1", tags=["results"], route_class=AuthenticatedRoute)


def _parse_radius(text: Any) -> Any:
    try:
        radius = parse_radius(text)
    except (ValueError, ZeroDivisionError):
        radius = -1.0
    if not 0 < radius < 1e6:
        raise ValueError("a radius such as 8/255 or 0.5 is needed")
    return radius


QueryRadius = Annotated[float, BeforeValidator(_parse_radius)]


@router.get(
    "/leaderboard",
    response_model=Leaderboard,
    responses={
        200: {
            "description": "The leaderboard: as JSON, or its tables as CSV, Markdown or LaTeX",
            "content": TABLE_CONTENT,
        },
        **problems(404),
    },
)
def get_leaderboard(
    request: Request,
    caller: Reader,
    engine: Database,
    dataset: Annotated[
        str | None, Query(max_length=100, description="Id or name of the data set.")
    ] = None,
    norm: Annotated[Norm | None, Query(description="Norm of the threat model.")] = None,
    radius: Annotated[
        QueryRadius | None, Query(description="Radius of the threat model, such as 8/255.")
    ] = None,
    attack: Annotated[
        str | None,
        Query(
            max_length=200,
            description="What the models are ranked by: a measure's key, or its beginning such as "
            "`pgd-20`. Default: AutoAttack where it was run on any, else the strongest attack.",
        ),
    ] = None,
    limit: Annotated[QueryInt, Query(ge=1, le=200, description="Models in each section.")] = 50,
    form: Format = None,
) -> Response:
    """Rank the models of the API key's project, by data set and threat model.

    A rank is a range: from one more than the number of significantly better models to the number
    of those that are not significantly worse. All pairs are tested on the same images (McNemar's
    exact test), and adjusted together by Holm's method.
    """
    filters = LeaderboardFilters(dataset=dataset, norm=norm, radius=radius, attack=attack)
    with read_session(engine) as session:
        sections = leaderboards.sections(session, caller.project_id, filters, limit)
    leaderboard = Leaderboard(sections=sections)
    return table_response(
        request,
        form,
        leaderboard,
        lambda: leaderboard_csv(leaderboard),
        lambda: leaderboard_tables(leaderboard),
    )
