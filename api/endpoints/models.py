"""Models: networks with weights. Uploaded ones are imported by a worker; a job's student is one at once. All can teach."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.dependencies import After, Database, Limit, Reader, ObjectStore, Submitter
from api.http.authenticated_route import AuthenticatedRoute
from api.http.idempotency import OnceOnly
from api.openapi.responses import DOWNLOAD_RESPONSES, UPLOAD_BODY, created, problems
from api.representation import from_rows, schemas
from api.transfers import downloads, import_upload
from core.errors import Conflict
from core.jobspec import file_signature
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import ModelDescription
from core.store import models
from core.store.database import tables
from core.store.database.engine import read_session, write_session

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=AuthenticatedRoute)


@router.get("")
def list_models(
    caller: Reader, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.ModelResponse]:
    """Models of the project, the newest first."""
    with read_session(engine) as session:
        rows, cursor = models.list_models(session, caller.project_id, after=after, limit=limit)
    return schemas.Page(
        data=[from_rows.model(row) for row in rows], has_more=cursor is not None, next_cursor=cursor
    )


@router.post(
    "",
    status_code=201,
    response_model=schemas.ModelResponse,
    responses={
        **created("/v1/models/{id}", "reference", "get_model", "upload_model", "download_model"),
        **problems(409),
    },
)
def create_model(body: schemas.CreateModelRequest, caller: Submitter, once: OnceOnly) -> Any:
    """Say what network is coming; then PUT its checkpoint (safetensors, or torch.save's) to /v1/models/{id}/content."""
    description = ModelDescription(
        **{name: getattr(body, name) for name in ModelDescription.model_fields}
    )

    def act(session: Session) -> tuple[int, schemas.ModelResponse]:
        row = models.create(
            session,
            caller.project_id,
            body.name,
            description,
            status="awaiting_upload",
            sha256=body.sha256,
        )
        return 201, from_rows.model(row)

    return once.carry_out(act, location="/v1/models/{id}")


@router.get("/{reference}", responses=problems(404))
def get_model(reference: str, caller: Reader, engine: Database) -> schemas.ModelResponse:
    """By id or by name."""
    with read_session(engine) as session:
        return from_rows.model(models.get(session, caller.project_id, reference))


@router.delete("/{reference}", responses=problems(404, 409))
def delete_model(reference: str, caller: Submitter, engine: Database) -> schemas.ModelResponse:
    """By id or by name. Jobs that have used it keep their results; its name is free again. It can be restored for some days."""
    with write_session(engine) as session:
        return from_rows.model(models.delete(session, caller.project_id, reference))


@router.post(
    "/{model_id}/restore", response_model=schemas.ModelResponse, responses=problems(404, 409)
)
def restore_model(model_id: str, caller: Submitter, once: OnceOnly) -> Any:
    """Undo a deletion, by id, as long as what was deleted is still there."""

    def act(session: Session) -> tuple[int, schemas.ModelResponse]:
        return 200, from_rows.model(models.restore(session, caller.project_id, model_id))

    return once.carry_out(act)


@router.put(
    "/{reference}/content",
    status_code=202,
    openapi_extra=UPLOAD_BODY,
    responses=problems(404, 408, 409, 413, 415, 507),
)
async def upload_model(
    reference: str, request: Request, caller: Submitter
) -> schemas.ModelResponse:
    """The checkpoint itself. A worker then opens it where it can do no harm: the model becomes `ready`, or `refused`."""
    row = await import_upload.receive_import(
        request, caller, models.library, reference, file_signature.checkpoint_format, _import
    )
    return from_rows.model(row)


@router.get(
    "/{reference}/content",
    response_class=StreamingResponse,
    responses={**DOWNLOAD_RESPONSES, **problems(409)},
)
@router.head(
    "/{reference}/content",
    response_class=StreamingResponse,
    responses={**DOWNLOAD_RESPONSES, **problems(409)},
)
def download_model(
    reference: str,
    request: Request,
    caller: Reader,
    engine: Database,
    objects: ObjectStore,
    direct: downloads.DirectDownload = False,
) -> Any:
    """Its weights, as safetensors."""
    with read_session(engine) as session:
        row = models.get(session, caller.project_id, reference)
    if row.status != "ready" or row.object_key is None or row.size is None or row.sha256 is None:
        raise Conflict(
            f"Model {row.name!r} is {row.status}; there is nothing to download.",
            code="model_not_ready",
        )
    file = downloads.StoredFile(row.object_key, f"{row.name}.safetensors", row.size, row.sha256)
    return downloads.serve(request, objects, file, direct=direct)


def _import(row: tables.ModelRow) -> ImportModelSpec:
    return ImportModelSpec(model_id=row.id, description=models.describe(row))
