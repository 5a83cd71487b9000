"""Projects, for operators: each has its own jobs, models, data sets and keys."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from api.dependencies import After, Database, Limit, Operator
from api.endpoints.keys import without_secret
from api.http.authenticated_route import AuthenticatedRoute
from api.http.idempotency import OnceOnly
from api.openapi.responses import created, problems
from api.representation import from_rows, schemas
from core.store import keys, projects
from core.store.database.engine import read_session

FIRST_SCOPES = ("read", "submit", "admin")
router = APIRouter(prefix="/v1/projects", tags=["projects"], route_class=AuthenticatedRoute)


@router.get("")
def list_projects(
    caller: Operator, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.ProjectResponse]:
    """All projects of this installation, the newest first."""
    with read_session(engine) as session:
        rows, cursor = projects.list_projects(session, after=after, limit=limit)
    return schemas.Page(
        data=[from_rows.project(row) for row in rows],
        has_more=cursor is not None,
        next_cursor=cursor,
    )


@router.post(
    "",
    status_code=201,
    response_model=schemas.NewProjectResponse,
    responses={**created("/v1/projects", "id"), **problems(409)},
)
def create_project(body: schemas.CreateProjectRequest, caller: Operator, once: OnceOnly) -> Any:
    """A new project with its first admin key. Keep the key's secret: it cannot be had again."""

    def act(session: Session) -> tuple[int, schemas.NewProjectResponse]:
        project = projects.create(session, body.name)
        key, secret = keys.create(session, project.id, "first", FIRST_SCOPES)
        return 201, schemas.NewProjectResponse(
            **from_rows.project(project).model_dump(), key=from_rows.new_key(key, secret)
        )

    return once.carry_out(act, location="/v1/projects", keep=_without_secret)


def _without_secret(answer: schemas.NewProjectResponse) -> schemas.NewProjectResponse:
    return answer.model_copy(update={"key": without_secret(answer.key)})
