"""Stored bytes: a folder, memory, or any S3. An object is there whole or not at all, and is checked when it is fetched."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from errno import ENOSPC
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, S3Store

from core.atomic_files import atomic_write, read_chunks, remove_partial_files
from core.errors import CorruptObject, NotFound, RangeUnsatisfiable, TooLarge, Unavailable
from core.settings import Settings, resolve_inside
from core.store.objects.multipart import Bucket

_PART_BYTES = 8 * 2**20
_UPLOADS_AT_ONCE = 2
_RETRIES = 3
_REQUEST_TIME = timedelta(seconds=30)
_using_process: dict[str, int] = {}
_KEY = r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*"


def checkpoint_key(job_id: str, attempt: int, name: str) -> str:
    """The attempt is in every key that a worker writes: what a stale one uploads lands beside, never on, what counts."""
    return f"jobs/{job_id}/{attempt}/checkpoints/{name}"


def artifact_key(job_id: str, attempt: int, name: str) -> str:
    return f"jobs/{job_id}/{attempt}/artifacts/{name}"


def model_key(model_id: str, attempt: int = 0) -> str:
    return f"models/{model_id}/{attempt}/{model_id}.safetensors"


def dataset_key(dataset_id: str, attempt: int = 0) -> str:
    return f"datasets/{dataset_id}/{attempt}/{dataset_id}.safetensors"


def upload_key(owner_id: str) -> str:
    """Bytes that nobody has looked into yet, of the model or data set ``owner_id``."""
    return f"uploads/{owner_id}/upload"


FOLDERS = ("jobs", "models", "datasets", "uploads")
"""Where all of these keys begin: whatever else lies in the store is not this service's."""


@dataclass(frozen=True)
class StoredObject:
    key: str
    size: int
    modified_at: int
    """Milliseconds since the epoch, by the store's clock."""


class Objects:
    """One store. The client behind it is made when it is first used; a child forked after that gets an error, not a hang."""

    def __init__(
        self,
        url: str,
        *,
        endpoint: str = "",
        public_endpoint: str = "",
        region: str = "us-east-1",
        access_key_id: str = "",
        secret_access_key: str = "",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"file", "memory", "s3"}:
            raise ValueError(
                f"An objects URL begins with file:///, memory:/// or s3://, not with {parts.scheme}."
            )
        self._scheme = parts.scheme
        self._bucket = parts.netloc
        self._path = unquote(parts.path)
        self._endpoint = endpoint
        self._public_endpoint = public_endpoint
        self._s3: dict[str, Any] = {"region": region}
        if access_key_id:
            self._s3 |= {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        self._clients: dict[str, Any] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "Objects":
        return cls(
            settings.resolved_objects_url,
            endpoint=settings.s3_endpoint,
            public_endpoint=settings.s3_public_endpoint,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=settings.s3_secret_access_key,
        )

    # -- writing

    def put_file(
        self, key: str, path: Path, check: Callable[[], None] = lambda: None
    ) -> tuple[int, str]:
        """Store a file; its size and SHA-256, taken while it was read. Raises Unavailable, and whatever ``check``, called for
        each part, raises.
        """
        return self.put_stream(key, _checked(read_chunks(path), check), path.stat().st_size)

    def put_stream(self, key: str, stream: Iterable[bytes], limit_bytes: int) -> tuple[int, str]:
        """Store bytes as they come, some parts in memory at a time; size and SHA-256.

        Whatever goes wrong, in the stream too, nothing is visible under ``key`` that was not there before.
        Raises TooLarge beyond ``limit_bytes``, and Unavailable (``storage_full`` where the disk is).
        """
        counted = _Counted(stream, limit_bytes)
        # Downloads of a signed URL are saved, never shown: a report with script in it must not run on the store's origin.
        attributes: Any = {"Content-Disposition": "attachment"} if self._scheme == "s3" else None
        with _translated_errors(key, counted):
            self._stay_inside(key)
            if self._scheme == "file":
                self._put_in_folder(key, counted)
            else:
                obstore.put(
                    self._client(),
                    key,
                    iter(counted),
                    attributes=attributes,
                    use_multipart=True,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_UPLOADS_AT_ONCE,
                )
        return counted.size, counted.digest.hexdigest()

    def delete(self, key: str) -> None:
        """Also where it is not there. Raises Unavailable."""
        with _translated_errors(key):
            try:
                self._stay_inside(key)
                obstore.delete(self._client(), key)
            except (NotFoundError, FileNotFoundError):
                return

    # -- reading

    def open(
        self, key: str, start: int = 0, end: int | None = None, expected_size: int | None = None
    ) -> Iterator[bytes]:
        """Bytes ``start`` up to ``end`` (not included), a part at a time.

        Raises, before the first part, NotFound, RangeUnsatisfiable, and CorruptObject where the object has not the ``stored``
        size; Unavailable at any time.
        """
        size = self.size(key)
        if expected_size is not None and size != expected_size:
            raise CorruptObject(f"Object {key} has {size} bytes; {expected_size} were stored.")
        end = size if end is None else min(end, size)
        if start < 0 or start > end or start >= size > 0:
            raise RangeUnsatisfiable(f"There are no bytes {start} to {end}: the object has {size}.")
        return self._parts(key, start, end)

    def open_verified(self, key: str, size: int, sha256: str) -> Iterator[bytes]:
        """All of the object, a part at a time, if it is what was stored.

        Raises CorruptObject: before the first part where its size is another, before the LAST where its SHA-256 is: whoever
        passes the parts on has not passed on all of it. NotFound, before the first, and Unavailable.
        """
        return _verified(key, self.open(key, expected_size=size), sha256)

    def fetch(
        self, key: str, path: Path, size: int, sha256: str, check: Callable[[], None] = lambda: None
    ) -> None:
        """The object as a file at ``path``, which appears only when its bytes are those that were stored.

        Raises CorruptObject where they are not, or are gone; Unavailable; OSError where the file cannot be written; and
        whatever ``check``, called for each part, raises.
        """
        try:
            with atomic_write(path) as file:
                for part in self.open_verified(key, size, sha256):
                    check()
                    file.write(part)
        except NotFound as error:
            raise CorruptObject(f"Object {key} is gone.") from error

    def size(self, key: str) -> int:
        """In bytes. Raises NotFound and Unavailable."""
        with _translated_errors(key):
            self._stay_inside(key)
            return int(obstore.head(self._client(), key)["size"])

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except NotFound:
            return False
        return True

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Every object in the folder ``prefix``, in no order, one page in memory at a time. Raises Unavailable."""
        with _translated_errors(prefix):
            for batch in obstore.list(self._client(), prefix):
                for entry in batch:
                    yield StoredObject(
                        entry["path"],
                        int(entry["size"]),
                        round(entry["last_modified"].timestamp() * 1000),
                    )

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Every key in the folder ``prefix``, in no order."""
        return (stored.key for stored in self.list_objects(prefix))

    def list_unfinished_writes(self, before: int) -> Iterator[StoredObject]:
        """What killed writers of an older program, which wrote folders through obstore, have left in one, unchanged since
        ``before`` (milliseconds since the epoch). What this one's leave is removed by ``core.store.objects.orphaned_uploads``.
        """
        if self._scheme != "file":
            return
        # Not rglob, which fails where a folder goes meanwhile.
        paths = (Path(folder) / name for folder, _, names in os.walk(self._path) for name in names)
        for path in paths:
            if not re.search(r"#[0-9]+$", path.name):
                continue
            with suppress(FileNotFoundError):
                found = path.stat()
                if found.st_mtime * 1000 < before:
                    yield StoredObject(
                        path.relative_to(self._path).as_posix(),
                        found.st_size,
                        round(found.st_mtime * 1000),
                    )

    def remove_unfinished_write(self, stored: StoredObject) -> None:
        (Path(self._path) / stored.key).unlink(missing_ok=True)

    def signed_url(self, key: str, seconds: int) -> str | None:
        """A URL that anyone may GET for so long, saved under the last part of ``key``. None where the store has no such
        thing, or no endpoint that callers can reach: then the API streams the object itself.
        """
        if self._scheme != "s3" or not self._public_endpoint:
            return None
        with _translated_errors(key):
            return str(
                obstore.sign(
                    self._client(self._public_endpoint), "GET", key, timedelta(seconds=seconds)
                )
            )

    def remove_partial_writes(self) -> list[str]:
        """Remove what killed processes have left half written in a folder; its names. Other stores have no such thing."""
        return remove_partial_files(self._staging) if self._scheme == "file" else []

    def bucket(self) -> Bucket | None:
        """For what obstore cannot ask for. None where the store is not S3, or the settings do not hold its credentials."""
        if self._scheme != "s3" or "access_key_id" not in self._s3:
            return None
        endpoint = self._endpoint.rstrip("/") or f"https://s3.{self._s3['region']}.amazonaws.com"
        return Bucket(endpoint, self._bucket, self._path.strip("/"), **self._s3)

    # -- underneath

    @property
    def _staging(self) -> Path:
        return Path(self._path) / ".staging"

    def _parts(self, key: str, start: int, end: int) -> Iterator[bytes]:
        # One request a part: a slow reader or a large object meets no time limit, and a lost part alone is asked for again.
        for begin in range(start, end, _PART_BYTES):
            with _translated_errors(key):
                part = bytes(
                    obstore.get_range(
                        self._client(), key, start=begin, end=min(begin + _PART_BYTES, end)
                    )
                )
            yield part

    def _client(self, endpoint: str = "") -> Any:
        _refuse_after_fork()
        # setdefault: threads that come first together must agree on one, for memory IS its client.
        return self._clients.get(endpoint) or self._clients.setdefault(
            endpoint, self._connect(endpoint or self._endpoint)
        )

    def _connect(self, endpoint: str) -> Any:
        if self._scheme == "file":
            return LocalStore(
                self._path, mkdir=True, automatic_cleanup=True
            )  # no empty folders are left
        if self._scheme == "memory":
            return MemoryStore()
        config: Any = dict(self._s3)
        if endpoint:
            config |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        return S3Store(
            self._bucket,
            prefix=self._path.strip("/") or None,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": "3s",
                "timeout": _REQUEST_TIME,
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": _REQUEST_TIME},
        )

    def _stay_inside(self, key: str) -> None:
        """A link that somebody has planted in the folder leads to no object."""
        if self._scheme != "file":
            return
        if resolve_inside(Path(self._path), key) is None:
            raise NotFoundError("a link that leads out of the store")

    def _put_in_folder(self, key: str, stream: Iterable[bytes]) -> None:
        """On the disk before it has its name. obstore renames first, and what it leaves when it is killed looks like a
        write under way; here the lock tells.
        """
        path = Path(self._path) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(exist_ok=True)
        with atomic_write(path, self._staging) as file:
            file.writelines(stream)


def _refuse_after_fork() -> None:
    """obstore's threads stay behind in a fork's parent, and every call in the child waits for them for ever."""
    if _using_process.setdefault("pid", os.getpid()) != os.getpid():
        raise RuntimeError(
            "The object store was used before this process was forked; start processes by spawn or exec."
        )


def _checked(stream: Iterable[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for chunk in stream:
        check()
        yield chunk


class _Counted:
    """Counts and hashes what passes, and remembers why it stopped: obstore hides an error of its source."""

    def __init__(self, stream: Iterable[bytes], limit_bytes: int) -> None:
        self.stream = stream
        self.limit_bytes = limit_bytes
        self.size = 0
        self.digest = hashlib.sha256()
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self.stream:
                self._count(chunk)
                yield chunk
        except Exception as error:
            self.error = error
            raise

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.limit_bytes:
            raise TooLarge(f"This is more than the {self.limit_bytes} bytes that are allowed.")
        self.digest.update(chunk)


def _verified(key: str, parts: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    digest, held = hashlib.sha256(), b""
    for part in parts:
        if held:
            yield held
        digest.update(part)
        held = part
    if digest.hexdigest() != sha256:
        raise CorruptObject(f"Object {key} has SHA-256 {digest.hexdigest()}; {sha256} was stored.")
    if held:
        yield held


@contextmanager
def _translated_errors(key: str, source: _Counted | None = None) -> Iterator[None]:
    if not re.fullmatch(_KEY, key) or ".." in key:
        raise NotFound("There is no such object.")
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Unavailable(
            "The object store refuses the service's credentials.", code="storage_refused"
        ) from error
    except (BaseError, OSError) as error:
        if source is not None and source.error is not None:
            raise source.error from error
        if source is None and isinstance(error, NotFoundError | FileNotFoundError):
            raise NotFound(f"There is no object {key}.") from error
        if "os error 28" in str(error) or getattr(error, "errno", None) == ENOSPC:
            raise Unavailable(
                "The disk of the object store is full.", code="storage_full"
            ) from error
        raise Unavailable("The object store does not answer; try again in a moment.") from error
