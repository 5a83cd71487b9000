"""Data sets: uploaded as an archive, taken from the operator's data folder, or downloaded by a worker; then imported."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.dependencies import After, Database, Limit, Reader, ServiceSettings, ObjectStore, Submitter
from api.http.authenticated_route import AuthenticatedRoute
from api.http.idempotency import OnceOnly
from api.openapi.responses import DATASET_EXAMPLES, DOWNLOAD_RESPONSES, UPLOAD_BODY, created, problems
from api.representation import from_rows, schemas
from api.submission import prepare
from api.transfers import downloads, import_upload
from core import queue
from core.errors import Conflict, Invalid
from core.jobspec import file_signature
from core.jobspec.data import Reading
from core.jobspec.job import ImportDatasetSpec
from core.settings import Settings, resolve_inside
from core.store import datasets
from core.store.database import tables
from core.store.database.engine import read_session, write_session

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=AuthenticatedRoute)


@router.get("")
def list_datasets(
    caller: Reader, engine: Database, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.DatasetResponse]:
    """Data sets of the project and those that everyone may use, the newest first."""
    with read_session(engine) as session:
        rows, cursor = datasets.list_datasets(session, caller.project_id, after=after, limit=limit)
    return schemas.Page(
        data=[from_rows.dataset(row) for row in rows],
        has_more=cursor is not None,
        next_cursor=cursor,
    )


@router.post(
    "",
    status_code=201,
    response_model=schemas.DatasetResponse,
    openapi_extra={"x-most-values": 12_000},  # the classes may be 10,000
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
    once: OnceOnly,
) -> Any:
    """With `folder` or `download` a worker fetches it; with neither, PUT an archive to /v1/datasets/{id}/content."""
    source, wanted = _source(body, settings), Reading.of(body)

    def act(session: Session) -> tuple[int, schemas.DatasetResponse]:
        row = datasets.create(
            session,
            caller.project_id,
            body.name,
            source,
            status="awaiting_upload",
            sha256=body.sha256,
            wanted=wanted,
        )
        if source != "upload":
            spec = ImportDatasetSpec(
                dataset_id=row.id,
                source=source,
                folder=body.folder,
                download=body.download,
                **wanted.model_dump(),
            )
            job = prepare.submit_import(session, caller.project_id, spec, row.name)
            row = datasets.begin_import(session, row, job.id)
            once.afterwards(partial(queue.wake_workers, settings, job.id))
        return 201, from_rows.dataset(row)

    return once.carry_out(act, location="/v1/datasets/{id}")


@router.get("/{reference}", responses=problems(404))
def get_dataset(reference: str, caller: Reader, engine: Database) -> schemas.DatasetResponse:
    """By id or by name."""
    with read_session(engine) as session:
        return from_rows.dataset(datasets.get(session, caller.project_id, reference))


@router.delete("/{reference}", responses=problems(404, 409))
def delete_dataset(reference: str, caller: Submitter, engine: Database) -> schemas.DatasetResponse:
    """By id or by name. Jobs that have used it keep their results; its name is free again. It can be restored for some days."""
    with write_session(engine) as session:
        return from_rows.dataset(datasets.delete(session, caller.project_id, reference))


@router.post(
    "/{dataset_id}/restore", response_model=schemas.DatasetResponse, responses=problems(404, 409)
)
def restore_dataset(dataset_id: str, caller: Submitter, once: OnceOnly) -> Any:
    """Undo a deletion, by id, as long as what was deleted is still there."""

    def act(session: Session) -> tuple[int, schemas.DatasetResponse]:
        return 200, from_rows.dataset(datasets.restore(session, caller.project_id, dataset_id))

    return once.carry_out(act)


@router.put(
    "/{reference}/content",
    status_code=202,
    openapi_extra=UPLOAD_BODY,
    responses=problems(404, 408, 409, 413, 415, 507),
)
async def upload_dataset(
    reference: str, request: Request, caller: Submitter
) -> schemas.DatasetResponse:
    """The archive itself (zip, tar, tar.gz, tar.xz, tar.bz2), or an .npz. A worker then opens it where it can do no harm."""
    row = await import_upload.receive_import(
        request, caller, datasets.library, reference, file_signature.archive_format, _import
    )
    return from_rows.dataset(row)


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
    reference: str,
    request: Request,
    caller: Reader,
    engine: Database,
    objects: ObjectStore,
    direct: downloads.DirectDownload = False,
) -> Any:
    """Images, decoded or as they came, and labels, as safetensors."""
    with read_session(engine) as session:
        row = datasets.get(session, caller.project_id, reference)
    if row.status != "ready":
        raise Conflict(
            f"Data set {row.name!r} is {row.status}; there is nothing to download.",
            code="dataset_not_ready",
        )
    if row.object_key is None or row.size is None or row.sha256 is None:
        raise Conflict(
            f"Data set {row.name!r} comes with the program; there is no file of it.",
            code="dataset_built_in",
        )
    file = downloads.StoredFile(row.object_key, f"{row.name}.safetensors", row.size, row.sha256)
    return downloads.serve(request, objects, file, direct=direct)


def _source(
    body: schemas.CreateDatasetRequest, settings: Settings
) -> Literal["upload", "folder", "download"]:
    """Where the data set comes from, if this service takes any from there. Raises Invalid."""
    if body.folder is not None and body.download is not None:
        raise Invalid.field(
            "download", message="A data set has one source: a folder or a download, not both."
        )
    if body.folder is not None:
        offered = settings.data_folder
        if offered is None:
            raise Invalid.field(
                "folder", message="This service has no data folder; upload an archive instead."
            )
        # The folder may be mounted on the workers' machines only: then theirs is the last word.
        path = resolve_inside(offered, body.folder)
        if path is None or (offered.is_dir() and not path.exists()):
            raise Invalid.field(
                "folder", message=f"There is no {body.folder!r} in the service's data folder."
            )
        return "folder"
    if body.download is not None:
        if not settings.allow_downloads:
            raise Invalid.field(
                "download",
                message="This service downloads no data sets; upload an archive instead.",
            )
        if body.image_size is not None:
            raise Invalid.field(
                "image_size", message="image_size is for image files; CIFAR's images come decoded."
            )
        return "download"
    return "upload"


def _import(row: tables.DatasetRow) -> ImportDatasetSpec:
    return ImportDatasetSpec(dataset_id=row.id, source="upload", **(row.reading or {}))
