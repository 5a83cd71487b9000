"""Large files both ways. A download is resumed where it broke and has its name only when it is what was promised."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from client.answers import Artifact
from client.errors import ClientError, CorruptDownload, UnexpectedAnswer
from client.transport import Transport, checked, is_busy, is_passing, problem_in, retry_after

STORING_SECONDS = 600.0
"""How long the service may take to store an upload whose last byte it has."""


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- download


def download(transport: Transport, path: str, artifact: Artifact, folder: Path) -> Path:
    """The artifact in ``folder``, under its name, verified. Raises CorruptDownload, Unreachable or DistillProblem."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", artifact.name):
        raise UnexpectedAnswer(f"{artifact.name!r} is no name for a file.")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / artifact.name
    if _is(target, artifact):
        return target
    # Named for its contents, so that another file's beginning is never taken up.
    part = folder / f".{artifact.name}.{artifact.sha256[:16]}.part"
    resumed = part.exists()
    _fetch(transport, path, part, artifact)
    if resumed and not _is(part, artifact):
        part.unlink()
        _fetch(transport, path, part, artifact)
    if not _is(part, artifact):
        found = sha256_of(part)
        part.unlink()
        raise CorruptDownload(
            f"{artifact.name} arrived with SHA-256 {found}; {artifact.sha256} was promised. Nothing was kept."
        )
    part.replace(target)
    return target


def _is(path: Path, artifact: Artifact) -> bool:
    return (
        path.is_file()
        and path.stat().st_size == artifact.size
        and sha256_of(path) == artifact.sha256
    )


def _fetch(transport: Transport, path: str, part: Path, artifact: Artifact) -> None:
    """Until ``part`` has the promised size."""
    backoff = transport.backoff()
    part.touch()
    while (had := part.stat().st_size) != artifact.size:
        if had > artifact.size:
            part.unlink()
            raise CorruptDownload(
                f"More than the promised {artifact.size} bytes of {artifact.name} arrived. Nothing was kept."
            )
        lost: Exception = UnexpectedAnswer("the answer ends early")
        pause = 0.0
        try:
            with _opened(transport, path, had) as response:
                if is_busy(response):
                    lost, pause = problem_in(response), retry_after(response)
                else:
                    _append(checked(response), part, had, artifact.size)
        except httpx2.TransportError as error:
            if not is_passing(error):
                raise transport.unreachable(error) from error
            lost = error
        if part.stat().st_size > had:
            backoff.reset()
        elif not backoff.wait(pause):
            raise lost if isinstance(lost, ClientError) else transport.unreachable(lost)


@contextmanager
def _opened(transport: Transport, path: str, offset: int) -> Iterator[httpx2.Response]:
    """The bytes from ``offset`` on, from the service or from the store that it points to. That one never sees the key."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with transport.http.stream("GET", path, headers=headers) as response:
        if not response.has_redirect_location:
            yield response
            return
        elsewhere = response.url.join(response.headers["Location"])
    # A signed address may have run out by the next try, which therefore asks the service again.
    with (
        httpx2.Client(
            timeout=transport.timeout, follow_redirects=True, trust_env=transport.trust_environment
        ) as stranger,
        stranger.stream("GET", elsewhere, headers=headers) as response,
    ):
        yield response


def _append(response: httpx2.Response, part: Path, offset: int, size: int) -> None:
    goes_on = response.status_code == 206
    if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
        raise UnexpectedAnswer(
            f"{response.url} answered with another range than the one asked for."
        )
    with part.open("ab" if goes_on else "wb") as file:
        for chunk in response.iter_bytes():
            file.write(chunk)
            if file.tell() > size:
                break
        file.flush()
        os.fsync(file.fileno())


# -- upload


def upload(transport: Transport, path: str, file: Path, still_awaited: Callable[[], bool]) -> None:
    """Send a file's bytes, from the beginning each time the connection breaks. Raises DistillProblem or Unreachable."""
    backoff = transport.backoff()
    timeout = httpx2.Timeout(transport.timeout, read=STORING_SECONDS)
    while True:
        try:
            with file.open("rb") as content:
                headers = {
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(file.stat().st_size),
                }
                response = transport.http.put(
                    path, content=content, headers=headers, timeout=timeout
                )
        except httpx2.TransportError as error:
            if not is_passing(error) or not backoff.wait():
                raise transport.unreachable(error) from error
            if not still_awaited():  # all of it had arrived; only the answer was lost
                return
            continue
        if not is_busy(response) or not backoff.wait(retry_after(response)):
            checked(response)
            return
