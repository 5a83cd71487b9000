"""The content of a model or data set on its way in: awaited, stored, and handed to the job that opens it."""

from collections.abc import Callable
from functools import partial

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Engine

from api.http.authentication import Principal
from api.submission import prepare
from api.transfers import uploads
from core import queue
from core.errors import Conflict
from core.jobspec.job import ImportSpec
from core.store.database.engine import read_session, write_session
from core.store.uploaded_items import Row, UploadedItems


async def receive_import(
    request: Request,
    caller: Principal,
    library: UploadedItems[Row],
    reference: str,
    sniff: Callable[[bytes], object],
    spec: Callable[[Row], ImportSpec],
) -> Row:
    """Store the request's body as the content of what ``reference`` names; it is ``importing`` then, by the job ``spec`` makes.

    Raises what ``uploads.receive`` does; NotFound, and Conflict for what awaits nothing.
    """
    state, engine = request.app.state, request.app.state.engine
    row = await run_in_threadpool(_awaiting, engine, caller, library, reference)

    def moves() -> None:
        with write_session(engine) as session:
            library.renew_upload(session, row.id)

    size, sha256 = await uploads.store_body(
        request,
        state.objects,
        row.id,
        limit=state.settings.max_upload_bytes,
        sha256=row.sha256,
        sniff=sniff,
        moves=moves,
    )

    def begin_import() -> Row:
        with write_session(engine) as session:
            awaiting = library.get(session, caller.project_id, row.id)
            job = prepare.submit_import(session, caller.project_id, spec(awaiting), awaiting.name)
            return library.begin_import(session, awaiting, job.id, size=size, sha256=sha256)

    row = await run_in_threadpool(begin_import)
    await run_in_threadpool(partial(queue.wake_workers, state.settings, str(row.import_job_id)))
    return row


def _awaiting(
    engine: Engine, caller: Principal, library: UploadedItems[Row], reference: str
) -> Row:
    with read_session(engine) as session:
        row = library.get(session, caller.project_id, reference)
    if row.status != "awaiting_upload":
        raise Conflict(
            f"{library.called(row)} is {row.status}: its content has been sent.",
            code="not_awaiting_upload",
        )
    return row
