"""Stored files on their way out: whole or in part, checksummed, as attachments; from the store itself where it can."""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from api.dependencies import QueryBool
from api.http import problems
from api.http.conditional import is_not_modified
from core.errors import CorruptObject, NotFound, RangeUnsatisfiable
from core.store.objects.store import Objects

URL_SECONDS = 300
DirectDownload = Annotated[QueryBool, Query(description="Never redirect to the object store.")]


@dataclass(frozen=True)
class StoredFile:
    """What the database knows of a stored file."""

    key: str
    name: str
    size: int
    sha256: str
    media_type: str = "application/octet-stream"


def serve(
    request: Request, objects: Objects, file: StoredFile, *, direct: bool, inline: bool = False
) -> Response:
    """200, 206, 304, 307 or 416. ``inline``: to be read on the spot, not saved.

    Raises CorruptObject where the stored file is gone or of another size. One with other bytes is found while it is sent: its
    last part is then withheld and the connection closed, so that nobody takes what arrived for the file.
    """
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{_base64(file.sha256)}:",
    }
    if is_not_modified(request, etag):
        return Response(status_code=304, headers={"ETag": etag})
    url = None if direct else objects.signed_url(file.key, URL_SECONDS)
    if url is not None:
        return RedirectResponse(url, 307, headers={"Cache-Control": "no-store"})
    if not inline:
        headers["Content-Disposition"] = f'attachment; filename="{_safe(file.name)}"'
    try:
        part = _part(request, etag, file.size)
    except RangeUnsatisfiable as error:
        return problems.problem_response(request, error, {"Content-Range": f"bytes */{file.size}"})
    start, end = part or (0, file.size)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    headers["Content-Length"] = str(end - start)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(None, status, headers, file.media_type)
    try:
        if part is None:
            content = objects.open_verified(file.key, file.size, file.sha256)
        else:
            content = objects.open(file.key, start, end, expected_size=file.size)
    except NotFound as error:
        raise CorruptObject(f"The stored file {file.key} is gone.") from error
    return StreamingResponse(content, status, headers, file.media_type)


def _part(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """The bytes asked for, [start, end); None: all of them, also where the header is not one simple range."""
    asked = re.fullmatch(
        r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("range", "").replace(" ", "")
    )
    if asked is None or asked.groups() == ("", "") or request.headers.get("if-range", etag) != etag:
        return None
    first, last = asked.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise RangeUnsatisfiable(f"The file has {size} bytes.")
    return start, end


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-150:].lstrip(".") or "file"


def _base64(sha256: str) -> str:
    return b64encode(bytes.fromhex(sha256)).decode()
