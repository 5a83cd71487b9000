"""Projects, for operators: each has its own jobs, models, data sets and API keys."""

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.dependencies import After, Database, IdempotentWork, Limit, Operator
from api.endpoints.access.keys import without_secret
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import created, problems
from api.representation import from_rows, schemas
from api.representation.pagination import page_of
from core.store.access import keys, projects
from core.store.database.engine import read_session

FIRST_KEY_SCOPES = ("read", "submit", "admin")
router = APIRouter(prefix="/v1/projects", tags=["projects"], route_class=AuthenticatedRoute)


@router.get("")
def list_projects(
    caller: Operator, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.ProjectResponse]:
    """List all projects of this installation, newest first."""
    with read_session(engine) as session:
        rows, next_cursor = projects.list_projects(session, after=after, limit=limit)
    return page_of([from_rows.project(row) for row in rows], next_cursor)


@router.post(
    "",
    status_code=201,
    response_model=schemas.NewProjectResponse,
    responses={**created("/v1/projects", "id"), **problems(409)},
)
def create_project(
    body: schemas.CreateProjectRequest, caller: Operator, work: IdempotentWork
) -> Response:
    """Create a project and its first admin key. Save the key's secret: it is not shown again."""

    def create(session: Session) -> tuple[int, schemas.NewProjectResponse]:
        project = projects.create(session, body.name)
        key, secret = keys.create(session, project.id, "first", FIRST_KEY_SCOPES)
        fields = from_rows.project(project).model_dump()
        return 201, schemas.NewProjectResponse(**fields, key=from_rows.new_key(key, secret))

    return work.commit(create, location="/v1/projects", redact=_without_secret)


def _without_secret(response: schemas.NewProjectResponse) -> schemas.NewProjectResponse:
    return response.model_copy(update={"key": without_secret(response.key)})
