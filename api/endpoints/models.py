"""Models: networks with weights, imported from uploads or trained by jobs; all can be teachers."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.dependencies import After, Database, IdempotentWork, Limit, Reader, Submitter, Work
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import DOWNLOAD_RESPONSES, UPLOAD_BODY, created, problems
from api.representation import from_rows, schemas
from api.transfers.downloads import DirectDownload
from api.transfers.uploaded_items import UploadedItems
from core.jobspec import file_signature
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import CheckpointOptions, ModelDescription, assume_normalization
from core.store.database.tables import ModelRow
from core.store.registry import models

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=AuthenticatedRoute)


def _import_spec(row: ModelRow) -> ImportModelSpec:
    return ImportModelSpec(model_id=row.id, description=models.describe(row), **(row.reading or {}))


_models = UploadedItems(
    ModelRow, "model", from_rows.model, file_signature.detect_checkpoint_format, _import_spec
)


@router.get("")
def list_models(
    caller: Reader, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.ModelResponse]:
    """List the project's models, newest first."""
    return _models.list_page(engine, caller.project_id, after, limit)


@router.post(
    "",
    status_code=201,
    response_model=schemas.ModelResponse,
    responses={
        **created("/v1/models/{id}", "reference", "get_model", "upload_model", "download_model"),
        **problems(409),
    },
)
def create_model(
    body: schemas.CreateModelRequest, caller: Submitter, work: IdempotentWork
) -> Response:
    """Describe a model that will be uploaded.

    Then PUT its checkpoint (safetensors, or written by torch.save) to /v1/models/{id}/content.
    Without a normalization of the network, the file's own mean and standard deviation decide, else
    the number of classes; the import's report says which it is.
    """
    fields = {name: getattr(body, name) for name in ModelDescription.model_fields}
    normalization_assumed = "normalization" not in body.network.model_fields_set
    if normalization_assumed:
        normalization = assume_normalization(body.network, body.classes).name
        fields["network"] = body.network.model_copy(update={"normalization": normalization})
    description = ModelDescription(**fields)
    options = CheckpointOptions(
        state_dict=body.state_dict, normalization_assumed=normalization_assumed
    )

    def create(session: Session) -> tuple[int, schemas.ModelResponse]:
        row = models.create(
            session,
            caller.project_id,
            body.name,
            description,
            status="awaiting_upload",
            sha256=body.sha256,
            options=options,
        )
        return 201, from_rows.model(row)

    return work.commit(create, location="/v1/models/{id}")


@router.get("/{reference}", responses=problems(404))
def get_model(reference: str, caller: Reader, engine: Database) -> schemas.ModelResponse:
    """Get a model by id or name."""
    return _models.get(engine, caller.project_id, reference)


@router.delete("/{reference}", response_model=schemas.ModelResponse, responses=problems(404, 409))
def delete_model(reference: str, caller: Submitter, work: Work) -> Response:
    """Delete a model by id or name, which frees its name. For some days it can be restored.

    Jobs that have used it keep their results.
    """
    return _models.delete(work, caller.project_id, reference)


@router.post(
    "/{model_id}/restore", response_model=schemas.ModelResponse, responses=problems(404, 409)
)
def restore_model(model_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Undo the deletion of a model, by id, as long as its file has not been removed."""
    return _models.restore(work, caller.project_id, model_id)


@router.put(
    "/{reference}/content",
    status_code=202,
    response_model=schemas.ModelResponse,
    openapi_extra=UPLOAD_BODY,
    responses=problems(404, 408, 409, 413, 415, 507),
)
async def upload_model(reference: str, request: Request, caller: Submitter, work: Work) -> Response:
    """Upload the checkpoint itself.

    A worker then opens it in a sandbox, and the model becomes `ready` or `refused`.
    """
    return await _models.upload(request, work, caller.project_id, reference)


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
    reference: str, request: Request, caller: Reader, direct: DirectDownload = False
) -> Response:
    """Download the weights, as safetensors."""
    return _models.download(request, caller.project_id, reference, direct=direct)
