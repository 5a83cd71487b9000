"""Large bodies, streamed to the object store: checked, counted and hashed, never all in memory."""

import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
from anyio import from_thread, to_thread
from fastapi import Request

from api.http.problems import RequestTimeout, UnsupportedMediaType
from core.errors import Conflict, Refused, TooLarge, Unauthenticated, Unavailable
from core.store.access import credentials
from core.store.database.engine import read_session
from core.store.objects.store import Objects, upload_key

SIGNATURE_BYTES = 512
"""Enough to recognize the format by."""
STALL_SECONDS = 60.0
MIN_BYTES_PER_SECOND = 10_000
"""On average over the whole upload, after ``STALL_SECONDS``."""
PROGRESS_SECONDS = 60.0
CREDENTIAL_SECONDS = 4.0
"""Between two checks of the caller's API key or session: an upload may outlast it."""

_active_uploads: set[str] = set()
_lock = threading.Lock()


async def store_body(
    request: Request,
    objects: Objects,
    owner_id: str,
    *,
    limit: int,
    sha256: str | None,
    check_signature: Callable[[bytes], object],
    on_progress: Callable[[], None],
) -> tuple[int, str]:
    """Store the body under the upload key of ``owner_id``; return its size in bytes and SHA-256.

    ``limit`` in bytes; ``sha256``: the declared one; ``check_signature`` is given the first bytes;
    ``on_progress`` is called about once a minute while bytes arrive.

    Raises, and stores nothing: Refused for a format that ``check_signature`` refuses, for an empty
    body, and for a SHA-256 other than the declared one; TooLarge; RequestTimeout;
    UnsupportedMediaType; Conflict while this process receives another upload of the same owner;
    Unauthenticated within seconds after the caller's API key or session has become invalid.
    """
    _check_headers(request, limit)
    with _exclusive(owner_id):
        first, remaining = await _read_signature(_chunks(request))
        check_signature(first[:SIGNATURE_BYTES])
        key = upload_key(owner_id)
        chunks = _authenticated(request, _chunks_in_thread(first, remaining))
        size, digest = await to_thread.run_sync(
            objects.put_stream,
            key,
            _reporting(on_progress, chunks),
            limit,
            # Threads of their own: slow uploads must not take those that other requests need.
            limiter=request.app.state.upload_threads,
        )
        if sha256 is not None and digest != sha256:
            await to_thread.run_sync(objects.delete, key)
            raise _hash_mismatch(digest, sha256)
    return size, digest


def _hash_mismatch(digest: str, declared: str) -> Refused:
    return Refused(
        f"The bytes that arrived have SHA-256 {digest}, but {declared} was declared. "
        "Nothing was stored.",
        code="hash_mismatch",
    )


def _check_headers(request: Request, limit: int) -> None:
    header = request.headers.get("content-type", "application/octet-stream")
    media_type = header.partition(";")[0].strip().lower()
    if media_type != "application/octet-stream":
        raise UnsupportedMediaType(
            "The body must be application/octet-stream; "
            f"the Content-Type header is {media_type[:100]!r}."
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(f"The upload has {declared[:20]} bytes; at most {limit} are allowed.")


@contextmanager
def _exclusive(owner_id: str) -> Iterator[None]:
    """Raises Conflict: two uploads at once would each replace the other's bytes."""
    with _lock:
        if owner_id in _active_uploads:
            raise Conflict(
                "Another upload of the same content is under way.", code="upload_in_progress"
            )
        _active_uploads.add(owner_id)
    try:
        yield
    finally:
        _active_uploads.discard(owner_id)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body's chunks. Raises RequestTimeout where it stalls or is too slow on average."""
    start = time.monotonic()
    received = 0
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(STALL_SECONDS):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestTimeout(f"Nothing arrived for {STALL_SECONDS:.0f} s.") from error
        received += len(chunk)
        if received < (time.monotonic() - start - STALL_SECONDS) * MIN_BYTES_PER_SECOND:
            raise RequestTimeout(
                f"The upload is slower than {MIN_BYTES_PER_SECOND} bytes per second."
            )
        if chunk:
            yield chunk


async def _read_signature(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Return at least ``SIGNATURE_BYTES``, if there are that many, and the remaining chunks."""
    first = b""
    async for chunk in chunks:
        first += chunk
        if len(first) >= SIGNATURE_BYTES:
            break
    return first, chunks


def _chunks_in_thread(first: bytes, remaining: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks in the thread that stores them; each is read only when it is asked for."""
    if first:
        yield first
    while chunk := from_thread.run(_next_chunk, remaining):
        yield chunk


async def _next_chunk(chunks: AsyncIterator[bytes]) -> bytes:
    """Return the next chunk; an empty one at the end."""
    return await anext(chunks, b"")


def _authenticated(request: Request, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, and every few seconds check that the caller is still who it was."""
    credential_id: str = request.state.principal.credential_id
    checked_at = time.monotonic()
    for chunk in chunks:
        if time.monotonic() - checked_at >= CREDENTIAL_SECONDS:
            checked_at = time.monotonic()
            # An upload outlasts an outage of the database, if its credential does.
            with suppress(Unavailable), read_session(request.app.state.engine) as session:
                if not credentials.valid(session, {credential_id}):
                    raise Unauthenticated(
                        "The API key or session of this upload was revoked, or has expired."
                    )
        yield chunk


def _reporting(on_progress: Callable[[], None], chunks: Iterator[bytes]) -> Iterator[bytes]:
    reported_at = -math.inf
    for chunk in chunks:
        if time.monotonic() - reported_at >= PROGRESS_SECONDS:
            # An upload outlasts an outage of the database: the next report says the same.
            with suppress(Unavailable):
                on_progress()
            reported_at = time.monotonic()
        yield chunk
