"""Downloads of artifacts.

An interrupted download is resumed, and a file receives its name only after its size and SHA-256
have been verified.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from distill_client.errors import ClientError, CorruptDownload, UnexpectedResponse
from distill_client.responses import Artifact
from distill_client.transport import (
    Transport,
    is_busy,
    is_transient,
    parse_problem,
    require_success,
    retry_after,
)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(transport: Transport, path: str, artifact: Artifact, folder: Path) -> Path:
    """Download the artifact into ``folder``, under its own name, and verify it.

    Raises CorruptDownload, Unreachable or DistillProblem.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", artifact.name):
        raise UnexpectedResponse(f"{artifact.name!r} is not a valid file name.")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / artifact.name
    if _matches(target, artifact):
        return target
    # The hash in the name keeps the beginning of another file from being continued.
    part = folder / f".{artifact.name}.{artifact.sha256[:16]}.part"
    resumed = part.exists()
    _fetch(transport, path, part, artifact)
    if resumed and not _matches(part, artifact):
        part.unlink()
        _fetch(transport, path, part, artifact)
    if not _matches(part, artifact):
        actual = sha256_of(part)
        part.unlink()
        raise CorruptDownload(
            f"{artifact.name} arrived with SHA-256 {actual} instead of {artifact.sha256}; "
            "it has been discarded."
        )
    part.replace(target)
    return target


def _matches(path: Path, artifact: Artifact) -> bool:
    return (
        path.is_file()
        and path.stat().st_size == artifact.size
        and sha256_of(path) == artifact.sha256
    )


def _fetch(transport: Transport, path: str, part: Path, artifact: Artifact) -> None:
    """Append to ``part`` until it has the artifact's size."""
    backoff = transport.backoff()
    part.touch()
    while (offset := part.stat().st_size) != artifact.size:
        if offset > artifact.size:
            part.unlink()
            raise CorruptDownload(
                f"More than the expected {artifact.size} bytes of {artifact.name} arrived; "
                "they have been discarded."
            )
        failure: Exception = UnexpectedResponse("the response ended early")
        pause = 0.0
        try:
            with _open_stream(transport, path, offset) as response:
                if is_busy(response):
                    failure = parse_problem(response)
                    pause = retry_after(response)
                else:
                    _append(require_success(response), part, offset, artifact.size)
        except httpx2.TransportError as error:
            if not is_transient(error):
                raise transport.unreachable(error) from error
            failure = error
        if part.stat().st_size > offset:
            backoff.reset()
        elif not backoff.wait(pause):
            raise failure if isinstance(failure, ClientError) else transport.unreachable(failure)


@contextmanager
def _open_stream(transport: Transport, path: str, offset: int) -> Iterator[httpx2.Response]:
    """Open the bytes from ``offset`` on, at the service or at the store that it redirects to.

    The store never receives the API key.
    """
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    with transport.http.stream("GET", path, headers=headers) as response:
        if not response.has_redirect_location:
            yield response
            return
        location = response.url.join(response.headers["Location"])
    # A signed address may have expired by the next try, so each try asks the service for a new one.
    with (
        httpx2.Client(
            timeout=transport.timeout, follow_redirects=True, trust_env=transport.trust_environment
        ) as store,
        store.stream("GET", location, headers=headers) as response,
    ):
        yield response


def _append(response: httpx2.Response, part: Path, offset: int, size: int) -> None:
    """Write the response to ``part``: behind ``offset`` if it is a 206, else from the start."""
    is_partial = response.status_code == 206
    content_range = response.headers.get("Content-Range", "")
    if is_partial and not content_range.startswith(f"bytes {offset}-"):
        raise UnexpectedResponse(f"{response.url} sent another range than the one requested.")
    with part.open("ab" if is_partial else "wb") as file:
        for chunk in response.iter_bytes():
            file.write(chunk)
            if file.tell() > size:
                break
        file.flush()
        os.fsync(file.fileno())
