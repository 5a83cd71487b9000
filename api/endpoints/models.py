"""Models: networks with weights, imported from uploads or trained by jobs; all can be teachers."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.dependencies import (
    After,
    Database,
    Deleted,
    IdempotentWork,
    IncludeTotal,
    Limit,
    Reader,
    SearchText,
    Sort,
    Submitter,
    Work,
)
from api.http.authenticated_route import AuthenticatedRoute
from api.http.conditional import IfMatch
from api.http.lists.result_filters import result_filters
from api.openapi.responses import (
    DOWNLOAD_RESPONSES,
    MERGE_PATCH,
    NOT_MODIFIED,
    RESULT_FILTER,
    UPLOAD_BODY,
    created,
    problems,
)
from api.representation import from_rows, schemas
from api.representation.edits import EditItemRequest
from api.representation.pagination import page_of
from api.transfers.downloads import DirectDownload
from api.transfers.uploaded_items import UploadedItems
from core.errors import Invalid
from core.jobspec import file_signature
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import CheckpointOptions, ModelDescription, assume_normalization
from core.store.database.engine import read_session
from core.store.database.tables import ModelRow
from core.store.registry import models
from core.store.registry.model_lists import ModelFilters, count_models
from core.store.registry.model_lists import list_models as list_model_rows

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=AuthenticatedRoute)

SeriesFilter = Annotated[
    str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Name of a series.")
]
AliasFilter = Annotated[
    str | None,
    Query(max_length=32, pattern=r"^[^\x00]*$", description="Only models that have this alias."),
]


def _import_spec(row: ModelRow) -> ImportModelSpec:
    return ImportModelSpec(model_id=row.id, description=models.describe(row), **(row.reading or {}))


_models = UploadedItems(
    ModelRow, "model", from_rows.models, file_signature.detect_checkpoint_format, _import_spec
)


@router.get("", openapi_extra={"parameters": [RESULT_FILTER]})
def list_models(
    request: Request,
    caller: Reader,
    engine: Database,
    series: SeriesFilter = None,
    alias: AliasFilter = None,
    q: SearchText = None,
    deleted: Deleted = False,
    sort: Sort = "-created_at",
    limit: Limit = 50,
    after: After = None,
    include_total: IncludeTotal = False,
) -> schemas.Page[schemas.ModelResponse]:
    """List the project's models, newest first.

    The results of a model are those of its training and of evaluations of it. Sorted by a result,
    models without it come last.
    """
    bounds = result_filters(request)
    filters = ModelFilters(series=series, alias=alias, bounds=bounds, text=q, deleted=deleted)
    with read_session(engine) as session:
        rows, next_cursor = list_model_rows(
            session, caller.project_id, filters, sort=sort, after=after, limit=limit
        )
        total = count_models(session, caller.project_id, filters) if include_total else None
        return page_of(from_rows.models(session, rows), next_cursor, total)


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
    if body.name is None and body.series is None:
        raise Invalid.field("name", message="A model needs a name, a series or both.")
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
            series=body.series,
            status="awaiting_upload",
            sha256=body.sha256,
            options=options,
        )
        return 201, _models.to_response(session, row)

    return work.commit(create, location="/v1/models/{id}")


@router.get(
    "/{reference}",
    response_model=schemas.ModelResponse,
    responses={**NOT_MODIFIED, **problems(404)},
)
def get_model(reference: str, request: Request, caller: Reader) -> Response:
    """Get a model by id or name, or as `series@version` or `series@alias`."""
    return _models.get(request, caller.project_id, reference)


@router.patch(
    "/{reference}",
    response_model=schemas.ModelResponse,
    openapi_extra=MERGE_PATCH,
    responses=problems(404, 409, 412),
)
def edit_model(
    reference: str,
    body: EditItemRequest,
    caller: Submitter,
    work: IdempotentWork,
    if_match: IfMatch = None,
) -> Response:
    """Change a model's name, notes or metadata, by a JSON merge patch (RFC 7396)."""
    return _models.edit(work, caller.project_id, reference, body, if_match)


@router.delete("/{reference}", response_model=schemas.ModelResponse, responses=problems(404, 409))
def delete_model(reference: str, caller: Submitter, work: Work) -> Response:
    """Delete a model by id or name, which frees its name. For some days it can be restored.

    Jobs that have used it keep their results. A model with an alias is not deleted: move or remove
    the alias first.
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
