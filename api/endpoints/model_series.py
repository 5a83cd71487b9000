"""Series of models: aliases for their versions; and the lineage of a model."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from api.dependencies import Database, QueryInt, Reader, Submitter, Work
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import problems
from api.representation import from_rows, lineage, schemas
from api.representation.edits import SetAliasRequest
from core.store.database.engine import read_session
from core.store.database.tables import ModelRow
from core.store.registry import aliases, uploaded_items
from core.store.registry import lineage as model_lineage

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=AuthenticatedRoute)

Alias = Annotated[
    str,
    Path(
        pattern=r"^[a-z][a-z0-9_-]{0,31}$",
        description="Such as champion: a small letter, then letters, digits, `_` and `-`.",
    ),
]
SeriesReference = Annotated[
    str, Path(description="Name of a series, or id or name of one of its models.")
]
Generations = Annotated[
    QueryInt, Query(ge=1, le=20, description="How many jobs to follow upward and downward.")
]
MaxNodes = Annotated[
    QueryInt, Query(ge=1, le=500, description="How many models, jobs and data sets to return.")
]


@router.put(
    "/{reference}/aliases/{alias}",
    response_model=schemas.ModelResponse,
    responses=problems(404, 409),
)
def set_alias(
    reference: SeriesReference,
    alias: Alias,
    body: SetAliasRequest,
    caller: Submitter,
    work: Work,
) -> Response:
    """Let an alias of a series mean one of its versions, whatever it meant before.

    Jobs that were submitted with the alias keep the model that it meant then. The response is the
    model.
    """

    def set_alias(session: Session) -> tuple[int, schemas.ModelResponse]:
        name = aliases.series_name(session, caller.project_id, reference)
        model = aliases.set_alias(session, caller.project_id, name, alias, body.model)
        return 200, from_rows.model(session, model)

    return work.commit(set_alias, target=f"{reference}@{alias}")


@router.delete(
    "/{reference}/aliases/{alias}",
    response_model=schemas.ModelResponse,
    responses=problems(404),
)
def remove_alias(
    reference: SeriesReference, alias: Alias, caller: Submitter, work: Work
) -> Response:
    """Remove an alias of a series. The response is the model that it meant."""

    def remove_alias(session: Session) -> tuple[int, schemas.ModelResponse]:
        name = aliases.series_name(session, caller.project_id, reference)
        model = aliases.remove_alias(session, caller.project_id, name, alias)
        return 200, from_rows.model(session, model)

    return work.commit(remove_alias, target=f"{reference}@{alias}")


@router.get("/{reference}/lineage", responses=problems(404))
def get_lineage(
    reference: str,
    caller: Reader,
    engine: Database,
    generations: Generations = 6,
    max_nodes: MaxNodes = 200,
) -> lineage.LineageResponse:
    """Get what a model was made from, and what was made from it, with what has been deleted.

    Upward these are the job that trained it, that job's teacher, start model and extra data set,
    and so on; downward the jobs that read it, evaluations among them, and their students. The
    other inputs of those jobs are included, but not followed. `cut` says if anything is missing.
    """
    with read_session(engine) as session:
        model = uploaded_items.get(session, ModelRow, caller.project_id, reference)
        graph = model_lineage.trace(
            session, caller.project_id, model, generations=generations, max_nodes=max_nodes
        )
        return lineage.lineage(session, model.id, graph)
