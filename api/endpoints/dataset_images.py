"""Images of data sets, for people to look at: small ones, many to a picture."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from api.dependencies import After, Database, Limit, ObjectStore, QueryInt, Reader, ServiceSettings
from api.http.authenticated_route import AuthenticatedRoute
from api.http.conditional import is_not_modified
from api.openapi.responses import ETAG, NOT_MODIFIED, problems
from api.representation import dataset_images, schemas
from api.representation.pagination import page_of
from api.transfers import downloads
from core.errors import Invalid
from core.jobspec.data import DatasetDescription
from core.store.database.engine import read_session
from core.store.database.tables import DIGITS_ID, DatasetRow, ThumbnailSheetRow
from core.store.registry import datasets, thumbnails, uploaded_items

IMMUTABLE = "private, max-age=31536000, immutable"
"""The address of a picture has its SHA-256."""
MAX_PER_CLASS = 64
PICTURE: dict[str, Any] = {
    "description": "The picture",
    "headers": {**ETAG, "Cache-Control": {"schema": {"type": "string"}}},
    "content": {thumbnails.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
router = APIRouter(
    prefix="/v1/datasets/{reference}/images", tags=["datasets"], route_class=AuthenticatedRoute
)


@router.get("", responses=problems(404, 409))
def list_dataset_images(
    reference: str,
    caller: Reader,
    engine: Database,
    settings: ServiceSettings,
    class_name: Annotated[
        str | None, Query(alias="class", max_length=200, description="Only images of this class.")
    ] = None,
    per_class: Annotated[
        QueryInt | None,
        Query(ge=1, le=MAX_PER_CLASS, description="Of each class, at most this many images."),
    ] = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[dataset_images.DatasetImageResponse]:
    """List some images of a data set, class by class: up to 64 of each, spread over the class.

    Of a class, training images come first. Each image is a part of a picture of many, to be cut out
    of it. They were made when the data set was imported; one that an earlier version imported has
    none, which is a 404 with the code `no_images`.
    """
    with read_session(engine) as session:
        row = uploaded_items.get(session, DatasetRow, caller.project_id, reference)
        description = datasets.describe(row)  # raises Conflict: the data set is not ready
        label = None if class_name is None else _label(row, description, class_name)
        images, next_cursor = thumbnails.list_images(
            session, row, label=label, per_class=per_class, after=after, limit=limit
        )
    data = [dataset_images.image(row, item, settings.root_path) for item in images]
    return page_of(data, next_cursor)


@router.get(
    "/{sha256}.webp",
    response_class=Response,
    responses={200: PICTURE, **NOT_MODIFIED, **problems(404)},
)
def get_dataset_picture(
    reference: str,
    sha256: Annotated[str, Path(description="SHA-256 of the picture, as in an image's `url`.")],
    request: Request,
    caller: Reader,
    engine: Database,
    objects: ObjectStore,
) -> Response:
    """Get a picture of many images of a data set, at the address that its images have."""
    with read_session(engine) as session:
        row = uploaded_items.get(session, DatasetRow, caller.project_id, reference)
        sheet = thumbnails.get_sheet(session, row, sha256)
    if row.id == DIGITS_ID:
        response = _builtin_picture(request, sheet)
    else:
        name = f"{row.name}-{sheet.number}.webp"
        file = downloads.DownloadFile(
            sheet.object_key, name, sheet.size, sheet.sha256, thumbnails.MEDIA_TYPE
        )
        # Never redirected: a page may only show what comes from the service itself.
        response = downloads.serve(request, objects, file, direct=True, inline=True)
    if response.status_code < 400:
        response.headers["Cache-Control"] = IMMUTABLE
    return response


def _builtin_picture(request: Request, sheet: ThumbnailSheetRow) -> Response:
    headers = {"ETag": f'"{sheet.sha256}"'}
    if is_not_modified(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    content = thumbnails.builtin_content(sheet)
    return Response(content, headers=headers, media_type=thumbnails.MEDIA_TYPE)


def _label(row: DatasetRow, description: DatasetDescription, class_name: str) -> int:
    """Return the position of a class. Raises Invalid for a name that no class has."""
    if class_name not in description.class_names:
        raise Invalid.field(
            "class", message=f"Data set {row.name!r} has no class {class_name[:100]!r}."
        )
    return description.class_names.index(class_name)
