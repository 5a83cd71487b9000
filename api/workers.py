"""The installation's workers: who they are, and draining them. They serve every project, and belong to the operator."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from api import answers, schemas
from api.dependencies import After, Database, Limit, Operator
from api.documentation import problems
from api.once import OnceOnly
from api.pages import cut
from api.routes import KeyedRoute
from core.store import workers
from core.store.engine import reading

router = APIRouter(prefix="/v1/workers", tags=["workers"], route_class=KeyedRoute)


@router.get("", responses=problems(404))
def list_workers(caller: Operator, engine: Database, limit: Limit = 50, after: After = None) -> schemas.Page[schemas.Worker]:
    """Workers by name: those that are alive, and those that were lost within a day. They serve all projects, so for operators."""
    with reading(engine) as session:
        found = workers.list_workers(session)
    return cut([answers.worker(worker) for worker in found], after, limit)


@router.post("/{worker}/drain", status_code=202, response_model=schemas.Worker, responses=problems(404, 409))
def drain_worker(worker: str, caller: Operator, once: OnceOnly) -> Any:
    """From now on it claims no job. It finishes those that it has, and stays until it is undrained or told to end."""
    return once.carry_out(lambda session: _drained(session, worker, True))


@router.post("/{worker}/undrain", status_code=202, response_model=schemas.Worker, responses=problems(404, 409))
def undrain_worker(worker: str, caller: Operator, once: OnceOnly) -> Any:
    """It claims jobs again, from its next heartbeat on."""
    return once.carry_out(lambda session: _drained(session, worker, False))


def _drained(session: Session, name: str, draining: bool) -> tuple[int, schemas.Worker]:
    return 202, answers.worker(workers.drain(session, name, draining))
