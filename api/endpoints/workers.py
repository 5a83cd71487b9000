"""The installation's workers: who they are, and draining them. They serve every project, and belong to the operator."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from api.dependencies import After, Database, Limit, Operator
from api.http.authenticated_route import AuthenticatedRoute
from api.http.idempotency import OnceOnly
from api.http.pagination import paginate
from api.openapi.responses import problems
from api.representation import from_rows, schemas
from core.store import workers
from core.store.database.engine import read_session

router = APIRouter(prefix="/v1/workers", tags=["workers"], route_class=AuthenticatedRoute)


@router.get("", responses=problems(404))
def list_workers(
    caller: Operator, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.WorkerResponse]:
    """Workers by name: those that are alive, and those that were lost within a day. They serve all projects, so for operators."""
    with read_session(engine) as session:
        found = workers.list_workers(session)
    return paginate([from_rows.worker(worker) for worker in found], after, limit)


@router.post(
    "/{worker}/drain",
    status_code=202,
    response_model=schemas.WorkerResponse,
    responses=problems(404, 409),
)
def drain_worker(worker: str, caller: Operator, once: OnceOnly) -> Any:
    """From now on it claims no job. It finishes those that it has, and stays until it is undrained or told to end."""
    return once.carry_out(lambda session: _drained(session, worker, True))


@router.post(
    "/{worker}/undrain",
    status_code=202,
    response_model=schemas.WorkerResponse,
    responses=problems(404, 409),
)
def undrain_worker(worker: str, caller: Operator, once: OnceOnly) -> Any:
    """It claims jobs again, from its next heartbeat on."""
    return once.carry_out(lambda session: _drained(session, worker, False))


def _drained(session: Session, name: str, draining: bool) -> tuple[int, schemas.WorkerResponse]:
    return 202, from_rows.worker(workers.drain(session, name, draining))
