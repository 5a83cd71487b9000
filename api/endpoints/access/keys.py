"""API keys of the caller's project. A secret is shown once, when its key is created."""

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.dependencies import Admin, After, Database, IdempotentWork, Limit, Work
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import created, problems
from api.representation import from_rows, schemas
from api.representation.pagination import page_of
from core.errors import Forbidden
from core.store.access import keys
from core.store.database import clock
from core.store.database.engine import read_session

SECONDS_PER_DAY = 24 * 3600
router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=AuthenticatedRoute)


@router.get("")
def list_keys(
    caller: Admin, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.KeyResponse]:
    """List the project's API keys, newest first, including revoked and expired ones."""
    with read_session(engine) as session:
        rows, next_cursor = keys.list_keys(session, caller.project_id, after=after, limit=limit)
    return page_of([from_rows.key(row) for row in rows], next_cursor)


@router.post(
    "",
    status_code=201,
    response_model=schemas.NewKeyResponse,
    responses={**created("/v1/keys", "key_id", "revoke_key"), **problems(409)},
)
def create_key(body: schemas.CreateKeyRequest, caller: Admin, work: IdempotentWork) -> Response:
    """Create an API key for the same project. Save its secret: it is not shown again."""
    if "operator" in body.scopes and "operator" not in caller.scopes:
        raise Forbidden("Only an API key with the scope 'operator' can grant it to another.")
    expires_at = None
    if body.expires_in_days is not None:
        expires_at = clock.after(body.expires_in_days * SECONDS_PER_DAY)

    def create(session: Session) -> tuple[int, schemas.NewKeyResponse]:
        key, secret = keys.create(session, caller.project_id, body.name, body.scopes, expires_at)
        return 201, from_rows.new_key(key, secret)

    return work.commit(create, location="/v1/keys", redact=without_secret)


@router.delete("/{key_id}", response_model=schemas.KeyResponse, responses=problems(404))
def revoke_key(key_id: str, caller: Admin, work: Work) -> Response:
    """Revoke an API key, whose secret is rejected from now on. Repeating it changes nothing."""

    def revoke(session: Session) -> tuple[int, schemas.KeyResponse]:
        key = keys.revoke(session, caller.project_id, key_id)
        session.refresh(key)
        return 200, from_rows.key(key)

    return work.commit(revoke)


def without_secret(response: schemas.NewKeyResponse) -> schemas.NewKeyResponse:
    """A secret is never stored, not even for replays."""
    return response.model_copy(update={"secret": None})
