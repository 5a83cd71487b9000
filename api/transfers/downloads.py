"""Stored files, sent in full or in part: checksummed, as attachments, redirected where possible."""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from api.dependencies import QueryBool
from api.http import problems
from api.http.conditional import is_not_modified
from core.errors import CorruptObject, NotFound, RangeUnsatisfiable
from core.store.objects.store import Objects

SIGNED_URL_SECONDS = 300
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
DirectDownload = Annotated[QueryBool, Query(description="Never redirect to the object store.")]


@dataclass(frozen=True)
class DownloadFile:
    """A file as the database describes it; ``size`` in bytes."""

    key: str
    name: str
    size: int
    sha256: str
    media_type: str = "application/octet-stream"


def serve(
    request: Request, objects: Objects, file: DownloadFile, *, direct: bool, inline: bool = False
) -> Response:
    """Answer a download with 200, 206, 304, 307 or 416.

    ``direct``: never redirect to the object store. ``inline``: for display, not as an attachment.

    Raises CorruptObject where the stored file is missing or has another size. A file with other
    bytes is only detected while it is sent: its last part is then withheld and the connection
    closed, so that nobody takes what arrived for the file.
    """
    etag = f'"{file.sha256}"'
    if is_not_modified(request, etag):
        return Response(status_code=304, headers={"ETag": etag})
    url = None if direct else objects.signed_url(file.key, SIGNED_URL_SECONDS)
    if url is not None:
        return RedirectResponse(url, 307, headers={"Cache-Control": "no-store"})
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{_base64(file.sha256)}:",
    }
    if not inline:
        headers["Content-Disposition"] = f'attachment; filename="{_safe_file_name(file.name)}"'
    try:
        byte_range = _requested_range(request, etag, file.size)
    except RangeUnsatisfiable as error:
        unsatisfied = {"Content-Range": f"bytes */{file.size}"}
        return problems.problem_response(request, error, unsatisfied)
    start, end = byte_range or (0, file.size)
    if byte_range is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    headers["Content-Length"] = str(end - start)
    status = 200 if byte_range is None else 206
    if request.method == "HEAD":
        return Response(None, status, headers, file.media_type)
    content = _open(objects, file, byte_range)
    return StreamingResponse(content, status, headers, file.media_type)


def _open(
    objects: Objects, file: DownloadFile, byte_range: tuple[int, int] | None
) -> Iterator[bytes]:
    """Only a complete file can be checked against its SHA-256; of a part, the size is checked."""
    try:
        if byte_range is None:
            return objects.open_verified(file.key, file.size, file.sha256)
        return objects.open(file.key, *byte_range, expected_size=file.size)
    except NotFound as error:
        raise CorruptObject(f"The stored file {file.key} is missing.") from error


def _requested_range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """Return the requested bytes as [start, end).

    None means all of them: without a Range header, with one that is not a single range of bytes,
    and where If-Range names another version of the file. Raises RangeUnsatisfiable.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    if request.headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise RangeUnsatisfiable(f"The file has {size} bytes.")
    return start, end


def _safe_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-150:].lstrip(".") or "file"


def _base64(sha256: str) -> str:
    return b64encode(bytes.fromhex(sha256)).decode()
