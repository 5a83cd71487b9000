"""Data sets: uploaded as an archive, read from the operator's data folder, or downloaded by a
worker; then imported by a job."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
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
    ServiceSettings,
    Submitter,
    Work,
)
from api.http.authenticated_route import AuthenticatedRoute
from api.http.conditional import IfMatch
from api.openapi.responses import (
    DATASET_EXAMPLES,
    DOWNLOAD_RESPONSES,
    MERGE_PATCH,
    NOT_MODIFIED,
    UPLOAD_BODY,
    created,
    problems,
)
from api.representation import from_rows, schemas
from api.representation.edits import EditItemRequest
from api.transfers.downloads import DirectDownload
from api.transfers.uploaded_items import UploadedItems, enqueue_import
from core.errors import Invalid
from core.jobspec import file_signature
from core.jobspec.data import ImportOptions
from core.jobspec.job import ImportDatasetSpec
from core.settings import Settings, resolve_inside
from core.store.database.tables import DatasetRow
from core.store.registry import datasets

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=AuthenticatedRoute)


def _import_spec(row: DatasetRow) -> ImportDatasetSpec:
    return ImportDatasetSpec(dataset_id=row.id, source="upload", **(row.reading or {}))


_datasets = UploadedItems(
    DatasetRow, "dataset", from_rows.datasets, file_signature.detect_archive_format, _import_spec
)


@router.get("")
def list_datasets(
    caller: Reader,
    engine: Database,
    deleted: Deleted = False,
    limit: Limit = 50,
    after: After = None,
    include_total: IncludeTotal = False,
) -> schemas.Page[schemas.DatasetResponse]:
    """List the project's data sets and those shared by all projects, newest first."""
    return _datasets.list_page(
        engine,
        caller.project_id,
        deleted=deleted,
        after=after,
        limit=limit,
        include_total=include_total,
    )


@router.post(
    "",
    status_code=201,
    response_model=schemas.DatasetResponse,
    openapi_extra={"x-most-values": 12_000},  # ``classes`` may have 10,000 entries
    responses={
        **created(
            "/v1/datasets/{id}", "reference", "get_dataset", "upload_dataset", "download_dataset"
        ),
        **problems(409),
    },
)
def create_dataset(
    body: Annotated[schemas.CreateDatasetRequest, Body(openapi_examples=DATASET_EXAMPLES)],
    caller: Submitter,
    settings: ServiceSettings,
    work: IdempotentWork,
) -> Response:
    """Create a data set. With `folder` or `download` a worker fetches and imports it.

    With neither, PUT an archive to /v1/datasets/{id}/content.
    """
    source = _source(body, settings)
    options = ImportOptions.copy_from(body)

    def create(session: Session) -> tuple[int, schemas.DatasetResponse]:
        row = datasets.create(
            session,
            caller.project_id,
            body.name,
            source,
            status="awaiting_upload",
            sha256=body.sha256,
            import_options=options,
        )
        if source != "upload":
            spec = ImportDatasetSpec(
                dataset_id=row.id,
                source=source,
                folder=body.folder,
                download=body.download,
                **options.model_dump(),
            )
            row = enqueue_import(session, work, caller.project_id, row, spec)
        return 201, _datasets.to_response(session, row)

    return work.commit(create, location="/v1/datasets/{id}")


def _source(body: schemas.CreateDatasetRequest, settings: Settings) -> datasets.Source:
    """Return where the data set comes from. Raises Invalid if this service allows it not."""
    if body.folder is not None and body.download is not None:
        message = "A data set has one source: a folder or a download, not both."
        raise Invalid.field("download", message=message)
    if body.folder is not None:
        _check_folder(body.folder, settings)
        return "folder"
    if body.download is not None:
        _check_download(body, settings)
        return "download"
    return "upload"


def _check_folder(name: str, settings: Settings) -> None:
    if settings.data_folder is None:
        message = "This service has no data folder; upload an archive instead."
        raise Invalid.field("folder", message=message)
    path = resolve_inside(settings.data_folder, name)
    # The data folder may be mounted on the workers' machines only; then they report a missing
    # entry, and the API accepts any name.
    is_mounted = settings.data_folder.is_dir()
    if path is None or (is_mounted and not path.exists()):
        message = f"There is no {name!r} in the service's data folder."
        raise Invalid.field("folder", message=message)


def _check_download(body: schemas.CreateDatasetRequest, settings: Settings) -> None:
    if not settings.allow_downloads:
        message = "This service downloads no data sets; upload an archive instead."
        raise Invalid.field("download", message=message)
    if body.image_size is not None:
        message = "image_size is for image files, but CIFAR's images are decoded already."
        raise Invalid.field("image_size", message=message)


@router.get(
    "/{reference}",
    response_model=schemas.DatasetResponse,
    responses={**NOT_MODIFIED, **problems(404)},
)
def get_dataset(reference: str, request: Request, caller: Reader) -> Response:
    """Get a data set by id or name."""
    return _datasets.get(request, caller.project_id, reference)


@router.patch(
    "/{reference}",
    response_model=schemas.DatasetResponse,
    openapi_extra=MERGE_PATCH,
    responses=problems(404, 409, 412),
)
def edit_dataset(
    reference: str,
    body: EditItemRequest,
    caller: Submitter,
    work: IdempotentWork,
    if_match: IfMatch = None,
) -> Response:
    """Change a data set's name, notes or metadata, by a JSON merge patch (RFC 7396)."""
    return _datasets.edit(work, caller.project_id, reference, body, if_match)


@router.delete("/{reference}", response_model=schemas.DatasetResponse, responses=problems(404, 409))
def delete_dataset(reference: str, caller: Submitter, work: Work) -> Response:
    """Delete a data set by id or name, which frees its name. For some days it can be restored.

    Jobs that have used it keep their results.
    """
    return _datasets.delete(work, caller.project_id, reference)


@router.post(
    "/{dataset_id}/restore", response_model=schemas.DatasetResponse, responses=problems(404, 409)
)
def restore_dataset(dataset_id: str, caller: Submitter, work: IdempotentWork) -> Response:
    """Undo the deletion of a data set, by id, as long as its file has not been removed."""
    return _datasets.restore(work, caller.project_id, dataset_id)


@router.put(
    "/{reference}/content",
    status_code=202,
    response_model=schemas.DatasetResponse,
    openapi_extra=UPLOAD_BODY,
    responses=problems(404, 408, 409, 413, 415, 507),
)
async def upload_dataset(
    reference: str, request: Request, caller: Submitter, work: Work
) -> Response:
    """Upload the archive itself (zip, tar, tar.gz, tar.xz, tar.bz2), or an .npz file.

    A worker then opens it in a sandbox, and the data set becomes `ready` or `refused`.
    """
    return await _datasets.upload(request, work, caller.project_id, reference)


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
def download_dataset(
    reference: str, request: Request, caller: Reader, direct: DirectDownload = False
) -> Response:
    """Download images (decoded or encoded, as they were imported) and labels, as safetensors."""
    return _datasets.download(request, caller.project_id, reference, direct=direct)
