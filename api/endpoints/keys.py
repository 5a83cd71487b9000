"""API keys of the caller's project. A secret is shown once, when its key is made."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from api.dependencies import Admin, After, Database, Limit
from api.http.authenticated_route import AuthenticatedRoute
from api.http.idempotency import OnceOnly
from api.openapi.responses import created, problems
from api.representation import from_rows, schemas
from core.errors import Forbidden
from core.store import keys
from core.store.database.clock import after as from_now
from core.store.database.engine import read_session, write_session

SECONDS_PER_DAY = 24 * 3600
router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=AuthenticatedRoute)


@router.get("")
def list_keys(
    caller: Admin, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.KeyResponse]:
    """Keys of the project, the newest first; revoked and expired ones, too."""
    with read_session(engine) as session:
        rows, cursor = keys.list_keys(session, caller.project_id, after=after, limit=limit)
    return schemas.Page(
        data=[from_rows.key(row) for row in rows], has_more=cursor is not None, next_cursor=cursor
    )


@router.post(
    "",
    status_code=201,
    response_model=schemas.NewKeyResponse,
    responses={**created("/v1/keys", "key_id", "revoke_key"), **problems(409)},
)
def create_key(body: schemas.CreateKeyRequest, caller: Admin, once: OnceOnly) -> Any:
    """A new key of the same project. Keep its secret: it cannot be had again."""
    if "operator" in body.scopes and "operator" not in caller.scopes:
        raise Forbidden("Only a key with the scope 'operator' can give it to another.")
    expires_at = (
        None if body.expires_in_days is None else from_now(body.expires_in_days * SECONDS_PER_DAY)
    )

    def act(session: Session) -> tuple[int, schemas.NewKeyResponse]:
        key, secret = keys.create(session, caller.project_id, body.name, body.scopes, expires_at)
        return 201, from_rows.new_key(key, secret)

    return once.carry_out(act, location="/v1/keys", keep=without_secret)


@router.delete("/{key_id}", responses=problems(404))
def revoke_key(key_id: str, caller: Admin, engine: Database) -> schemas.KeyResponse:
    """From now on the secret is worth nothing. Revoking twice changes nothing."""
    with write_session(engine) as session:
        key = keys.revoke(session, caller.project_id, key_id)
        session.refresh(key)
    return from_rows.key(key)


def without_secret(answer: schemas.NewKeyResponse) -> schemas.NewKeyResponse:
    """A secret is never stored, not even for a replay."""
    return answer.model_copy(update={"secret": None})
