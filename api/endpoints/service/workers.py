"""The installation's workers, for operators: list them, and drain them. They serve all projects."""

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.dependencies import After, Database, IdempotentWork, Limit, Operator
from api.http.authenticated_route import AuthenticatedRoute
from api.http.unit_of_work import UnitOfWork
from api.openapi.responses import problems
from api.representation import from_rows, schemas
from api.representation.pagination import paginate
from core.store import workers
from core.store.database.engine import read_session

router = APIRouter(prefix="/v1/workers", tags=["workers"], route_class=AuthenticatedRoute)


@router.get("", responses=problems(404))
def list_workers(
    caller: Operator, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.WorkerResponse]:
    """List workers by name: those that are alive, and those lost within the last day."""
    with read_session(engine) as session:
        states = workers.list_workers(session)
    return paginate([from_rows.worker(state) for state in states], after, limit)


@router.post(
    "/{worker}/drain",
    status_code=202,
    response_model=schemas.WorkerResponse,
    responses=problems(404, 409),
)
def drain_worker(worker: str, caller: Operator, work: IdempotentWork) -> Response:
    """Let a worker claim no more jobs.

    It finishes those that it runs, and stays alive until it is undrained or stopped.
    """
    return _set_draining(work, worker, True)


@router.post(
    "/{worker}/undrain",
    status_code=202,
    response_model=schemas.WorkerResponse,
    responses=problems(404, 409),
)
def undrain_worker(worker: str, caller: Operator, work: IdempotentWork) -> Response:
    """Let a worker claim jobs again, from its next heartbeat on."""
    return _set_draining(work, worker, False)


def _set_draining(work: UnitOfWork, name: str, draining: bool) -> Response:
    def set_draining(session: Session) -> tuple[int, schemas.WorkerResponse]:
        return 202, from_rows.worker(workers.set_draining(session, name, draining))

    return work.commit(set_draining)
