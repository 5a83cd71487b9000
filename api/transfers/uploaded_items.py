"""Models and data sets as one mechanism: listed, uploaded, imported, edited, downloaded, deleted.

An item awaits an upload, is imported by a job that opens the uploaded bytes, and is then ready or
refused. ``api/endpoints/models.py`` and ``datasets.py`` are its two faces.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.http.conditional import body_tag, is_not_modified, require_match
from api.http.unit_of_work import UnitOfWork
from api.representation import schemas
from api.representation.edits import EditItemRequest
from api.representation.json_response import json_response
from api.representation.pagination import page_of
from api.transfers import downloads, uploads
from core.errors import Conflict
from core.jobspec.job import ImportSpec
from core.store import jobs
from core.store.database.engine import read_session, write_session
from core.store.registry import uploaded_items
from core.store.registry.uploaded_items import Row

Item = TypeVar("Item", schemas.ModelResponse, schemas.DatasetResponse)


def enqueue_import(
    session: Session,
    work: UnitOfWork,
    project_id: str,
    row: Row,
    spec: ImportSpec,
    *,
    size: int | None = None,
    sha256: str | None = None,
) -> Row:
    """Queue the job that opens the item's bytes; the item becomes ``importing``.

    ``size`` and ``sha256`` are those of the upload; a worker that fetches the bytes itself finds
    them out. Raises Conflict where the item is not awaiting an upload.
    """
    job = jobs.submit(session, project_id, spec, name=f"import {row.name}")
    work.wake_workers(job.id)
    return uploaded_items.begin_import(session, row, job.id, size=size, sha256=sha256)


@dataclass(frozen=True)
class UploadedItems(Generic[Row, Item]):
    """What the endpoints of models do to models, and those of data sets to data sets."""

    table: type[Row]
    code: Literal["model", "dataset"]
    """First part of problem codes, such as ``model_not_ready``."""
    to_responses: Callable[[Session, Sequence[Row]], list[Item]]
    check_signature: Callable[[bytes], object]
    """Raises Refused where the first bytes of an upload are of no format that is imported."""
    import_spec: Callable[[Row], ImportSpec]
    """Makes the spec of the job that opens an upload."""

    def list_page(
        self,
        engine: Engine,
        project_id: str,
        *,
        deleted: bool,
        after: str | None,
        limit: int,
        include_total: bool,
    ) -> schemas.Page[Item]:
        table = self.table
        with read_session(engine) as session:
            rows, next_cursor = uploaded_items.list_items(
                session, table, project_id, deleted=deleted, after=after, limit=limit
            )
            total = None
            if include_total:
                total = uploaded_items.count_items(session, table, project_id, deleted=deleted)
            return page_of(self.to_responses(session, rows), next_cursor, total)

    def get(self, request: Request, project_id: str, reference: str) -> Response:
        """``reference``: as ``uploaded_items.find`` takes it. Raises NotFound."""
        with read_session(request.app.state.engine) as session:
            row = uploaded_items.get(session, self.table, project_id, reference)
            item = self.to_response(session, row)
        etag = body_tag(row.edits, item)
        if is_not_modified(request, etag):
            return Response(status_code=304, headers={"ETag": etag})
        return json_response(item, {"ETag": etag})

    def edit(
        self,
        work: UnitOfWork,
        project_id: str,
        reference: str,
        body: EditItemRequest,
        if_match: str | None,
    ) -> Response:
        """Change name, notes and metadata.

        Raises NotFound, PreconditionFailed, Invalid and Conflict (``built_in``, ``name_taken``).
        """
        headers: dict[str, str] = {}

        def edit(session: Session) -> tuple[int, Item]:
            row = uploaded_items.get(session, self.table, project_id, reference, lock=True)
            require_match(if_match, row.edits)
            uploaded_items.edit(session, row, body.as_patch())
            item = self.to_response(session, row)
            headers["ETag"] = body_tag(row.edits, item)
            return 200, item

        response = work.commit(edit)
        response.headers.update(headers)
        return response

    def to_response(self, session: Session, row: Row) -> Item:
        return self.to_responses(session, [row])[0]

    def delete(self, work: UnitOfWork, project_id: str, reference: str) -> Response:
        def delete(session: Session) -> tuple[int, Item]:
            row = uploaded_items.delete_item(session, self.table, project_id, reference)
            return 200, self.to_response(session, row)

        return work.commit(delete)

    def restore(self, work: UnitOfWork, project_id: str, row_id: str) -> Response:
        def restore(session: Session) -> tuple[int, Item]:
            row = uploaded_items.restore(session, self.table, project_id, row_id)
            return 200, self.to_response(session, row)

        return work.commit(restore)

    async def upload(
        self, request: Request, work: UnitOfWork, project_id: str, reference: str
    ) -> Response:
        """Store the request's body as the item's content, and queue the job that imports it.

        Raises NotFound, Conflict where the item is not awaiting an upload, and whatever
        ``uploads.store_body`` raises.
        """
        app = request.app.state
        row = await run_in_threadpool(self._get_awaiting, app.engine, project_id, reference)

        def record_progress() -> None:
            with write_session(app.engine) as session:
                uploaded_items.record_upload_progress(session, self.table, row.id)

        size, sha256 = await uploads.store_body(
            request,
            app.objects,
            row.id,
            limit=app.settings.max_upload_bytes,
            sha256=row.sha256,
            check_signature=self.check_signature,
            on_progress=record_progress,
        )

        def begin_import(session: Session) -> tuple[int, Item]:
            # Read again: it may have been deleted while its bytes arrived.
            awaiting = uploaded_items.get(session, self.table, project_id, row.id)
            spec = self.import_spec(awaiting)
            importing = enqueue_import(
                session, work, project_id, awaiting, spec, size=size, sha256=sha256
            )
            return 202, self.to_response(session, importing)

        return await run_in_threadpool(work.commit, begin_import)

    def download(
        self, request: Request, project_id: str, reference: str, *, direct: bool
    ) -> Response:
        """Raises NotFound, and Conflict for an item without a stored file."""
        app = request.app.state
        with read_session(app.engine) as session:
            row = uploaded_items.get(session, self.table, project_id, reference)
        label = uploaded_items.label(row)
        if row.status != "ready":
            raise Conflict(
                f"{label} is {row.status}; there is nothing to download.",
                code=f"{self.code}_not_ready",
            )
        if row.object_key is None or row.size is None or row.sha256 is None:
            raise Conflict(
                f"{label} comes with the program; it has no file to download.",
                code=f"{self.code}_built_in",
            )
        file = downloads.DownloadFile(
            row.object_key, f"{row.name}.safetensors", row.size, row.sha256
        )
        return downloads.serve(request, app.objects, file, direct=direct)

    def _get_awaiting(self, engine: Engine, project_id: str, reference: str) -> Row:
        with read_session(engine) as session:
            row = uploaded_items.get(session, self.table, project_id, reference)
        if row.status != "awaiting_upload":
            raise Conflict(
                f"{uploaded_items.label(row)} is {row.status}: its content was uploaded before.",
                code="not_awaiting_upload",
            )
        return row
