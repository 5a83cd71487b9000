"""Large bodies on their way to the object store: looked at, counted, hashed and passed on, never held."""

import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
from anyio import from_thread, to_thread
from fastapi import Request

from api.http.problems import RequestTimeout, UnsupportedMediaType
from core.errors import Conflict, Refused, TooLarge, Unavailable
from core.store.objects.store import Objects, upload_key

SIGNATURE_BYTES = 512
PATIENCE_SECONDS = 60.0
MIN_BYTES_PER_SECOND = 10_000
"""After ``PATIENCE_SECONDS``, on average over the whole upload."""
PROGRESS_SECONDS = 60.0

_under_way: set[str] = set()
_lock = threading.Lock()


async def store_body(
    request: Request,
    objects: Objects,
    owner_id: str,
    *,
    limit: int,
    sha256: str | None,
    sniff: Callable[[bytes], object],
    moves: Callable[[], None],
) -> tuple[int, str]:
    """Store the body under ``owner_id``'s upload key; its size and SHA-256. ``moves`` is told each minute that it does.

    Raises, with nothing kept: Refused for a format that ``sniff`` refuses, for no content, and for another SHA-256 than the
    declared one; TooLarge, TooSlow, Unsupported; Conflict while another upload of the same thing runs here.
    """
    _check_headers(request, limit)
    with _alone(owner_id):
        first, rest = await _beginning(_chunks(request))
        sniff(first[:SIGNATURE_BYTES])
        key = upload_key(owner_id)
        size, digest = await to_thread.run_sync(
            objects.put_stream,
            key,
            _telling(moves, _from_thread(first, rest)),
            limit,
            limiter=request.app.state.upload_threads,
        )
        if sha256 is not None and digest != sha256:
            await to_thread.run_sync(objects.delete, key)
            message = f"The bytes that arrived have SHA-256 {digest}; {sha256} was declared. Nothing was kept."
            raise Refused(message, code="hash_mismatch")
    return size, digest


def _check_headers(request: Request, limit: int) -> None:
    kind = (
        request.headers.get("content-type", "application/octet-stream")
        .partition(";")[0]
        .strip()
        .lower()
    )
    if kind != "application/octet-stream":
        raise UnsupportedMediaType(
            f"The body must be application/octet-stream; Content-Type says {kind[:100]!r}."
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(f"The upload has {declared[:20]} bytes; at most {limit} are taken.")


@contextmanager
def _alone(owner_id: str) -> Iterator[None]:
    """Two uploads at once would each replace the other's bytes."""
    with _lock:
        if owner_id in _under_way:
            raise Conflict(
                "Another upload of the same content is under way.", code="upload_in_progress"
            )
        _under_way.add(owner_id)
    try:
        yield
    finally:
        _under_way.discard(owner_id)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    began, had = time.monotonic(), 0
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestTimeout(f"Nothing arrived for {PATIENCE_SECONDS:.0f} s.") from error
        had += len(chunk)
        if had < (time.monotonic() - began - PATIENCE_SECONDS) * MIN_BYTES_PER_SECOND:
            raise RequestTimeout(f"The upload is slower than {MIN_BYTES_PER_SECOND} bytes per second.")
        if chunk:
            yield chunk


async def _beginning(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Enough bytes to tell the format by, and the rest."""
    first = b""
    async for chunk in chunks:
        first += chunk
        if len(first) >= SIGNATURE_BYTES:
            break
    return first, chunks


def _from_thread(first: bytes, rest: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The same chunks for the thread that stores them; each is fetched only when it is wanted."""
    if first:
        yield first
    while chunk := from_thread.run(_next, rest):
        yield chunk


def _telling(moves: Callable[[], None], chunks: Iterator[bytes]) -> Iterator[bytes]:
    told_at = -math.inf
    for chunk in chunks:
        if time.monotonic() - told_at >= PROGRESS_SECONDS:
            with suppress(Unavailable):
                moves()
            told_at = time.monotonic()
        yield chunk


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    """Empty at the end."""
    return await anext(chunks, b"")
