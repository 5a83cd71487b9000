"""The object store: a folder, memory, or any S3.

An object exists completely or not at all, and is verified when it is fetched.
"""

import hashlib
import os
import re
import shutil
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
_process: dict[str, int] = {}
"""The id of the process that uses obstore, once it does."""
_KEY = r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*"


def checkpoint_key(job_id: str, attempt: int, name: str) -> str:
    """Return a key that contains the attempt, as every key does that a worker writes.

    So a stale attempt never overwrites the objects of the current one.
    """
    return f"jobs/{job_id}/{attempt}/checkpoints/{name}"


def artifact_key(job_id: str, attempt: int, name: str) -> str:
    """Return the key of an artifact that is no checkpoint."""
    return f"jobs/{job_id}/{attempt}/artifacts/{name}"


def log_key(job_id: str, attempt: int, sha256: str) -> str:
    """Return the key of an attempt's log; ``sha256``: of the object."""
    return f"jobs/{job_id}/{attempt}/logs/{sha256}.jsonl.gz"


def upload_key(owner_id: str) -> str:
    """Return the key of the bytes that were uploaded for a model or data set, not yet imported."""
    return f"uploads/{owner_id}/upload"


FOLDERS = ("jobs", "uploads")
"""The folders of all these keys. Objects outside them are not this service's."""


@dataclass(frozen=True)
class StoredObject:
    """An object as the store lists it."""

    key: str
    size: int
    """In bytes."""
    modified_at: int
    """In milliseconds since the epoch, by the store's clock."""


class Objects:
    """One object store.

    Its client is made on first use. A process that is forked after that gets an error, not a hang.
    """

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
                "An objects URL begins with file:///, memory:/// or s3://, "
                f"not with {parts.scheme}."
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
        """Store a file; return its size and SHA-256 as they were read.

        ``check`` is called for each part. Raises what it raises, and Unavailable.
        """
        chunks = _call_for_each(read_chunks(path), check)
        return self.put_stream(key, chunks, path.stat().st_size)

    def put_stream(self, key: str, stream: Iterable[bytes], limit_bytes: int) -> tuple[int, str]:
        """Store a stream, with a few parts in memory at a time; return its size and SHA-256.

        After any failure, also of the stream, the store has what it had before under ``key``.
        Raises TooLarge beyond ``limit_bytes``, and Unavailable (code ``storage_full`` where the
        disk is full).
        """
        hashed = _HashedStream(stream, limit_bytes)
        # A browser saves what a signed URL gives, and does not show it: a script in a report must
        # not run with the store's origin.
        attributes: Any = {"Content-Disposition": "attachment"} if self._scheme == "s3" else None
        with _translated_errors(key, hashed):
            self._refuse_outside_link(key)
            if self._scheme == "file":
                self._put_in_folder(key, hashed)
            else:
                obstore.put(
                    self._client(),
                    key,
                    iter(hashed),
                    attributes=attributes,
                    use_multipart=True,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_UPLOADS_AT_ONCE,
                )
        return hashed.size, hashed.hasher.hexdigest()

    def delete(self, key: str) -> None:
        """Delete an object, if it exists. Raises Unavailable."""
        with _translated_errors(key):
            try:
                self._refuse_outside_link(key)
                obstore.delete(self._client(), key)
            except (NotFoundError, FileNotFoundError):
                return

    # -- reading

    def open(
        self, key: str, start: int = 0, end: int | None = None, expected_size: int | None = None
    ) -> Iterator[bytes]:
        """Read the bytes from ``start`` to ``end`` (exclusive), one part at a time.

        Before the first part, raises NotFound, RangeUnsatisfiable, and CorruptObject where the
        object does not have ``expected_size`` bytes; at any time, Unavailable.
        """
        size = self.size(key)
        if expected_size is not None and size != expected_size:
            raise CorruptObject(f"Object {key} has {size} bytes; {expected_size} were stored.")
        end = size if end is None else min(end, size)
        if start < 0 or start > end or start >= size > 0:
            raise RangeUnsatisfiable(f"There are no bytes {start} to {end}: the object has {size}.")
        return self._parts(key, start, end)

    def open_verified(self, key: str, size: int, sha256: str) -> Iterator[bytes]:
        """Read the whole object, one part at a time, and verify it.

        Raises CorruptObject: for another size before the first part, for another SHA-256 before the
        LAST part, so that a consumer that forwards the parts has not forwarded a complete object.
        Raises NotFound before the first part, and Unavailable.
        """
        return _verify_parts(key, self.open(key, expected_size=size), sha256)

    def fetch(
        self, key: str, path: Path, size: int, sha256: str, check: Callable[[], None] = lambda: None
    ) -> None:
        """Download the object to ``path``, where a file appears only once it is verified.

        ``check`` is called for each part. Raises what it raises; CorruptObject where the object is
        missing or has other bytes; Unavailable; and OSError where the file cannot be written.
        """
        try:
            with atomic_write(path) as file:
                for part in self.open_verified(key, size, sha256):
                    check()
                    file.write(part)
        except NotFound as error:
            raise CorruptObject(f"Object {key} is gone.") from error

    def size(self, key: str) -> int:
        """Return the object's size in bytes. Raises NotFound and Unavailable."""
        with _translated_errors(key):
            self._refuse_outside_link(key)
            return int(obstore.head(self._client(), key)["size"])

    def exists(self, key: str) -> bool:
        """Return whether there is an object under this key. Raises Unavailable."""
        try:
            self.size(key)
        except NotFound:
            return False
        return True

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yield every object in the folder ``prefix``, in no particular order.

        One page is in memory at a time. Raises Unavailable.
        """
        with _translated_errors(prefix):
            for batch in obstore.list(self._client(), prefix):
                for entry in batch:
                    yield StoredObject(
                        entry["path"],
                        int(entry["size"]),
                        round(entry["last_modified"].timestamp() * 1000),
                    )

    def space(self) -> tuple[int, int] | None:
        """Return capacity and free space, in bytes, of the file system of a folder.

        None for other stores, which do not tell, and where it cannot be read.
        """
        if self._scheme != "file":
            return None
        folder = Path(self._path)
        while not folder.exists():
            folder = folder.parent
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            return None
        return usage.total, usage.free

    def list_legacy_partial_writes(self, before: int) -> Iterator[StoredObject]:
        """Yield files that killed processes of an older program have left half written in a folder.

        That program wrote through obstore; what this one leaves, ``remove_partial_writes`` removes.
        ``before``: only files that have not changed since, in milliseconds since the epoch.
        """
        if self._scheme != "file":
            return
        # os.walk, not rglob: rglob fails where a folder disappears meanwhile.
        paths = (Path(folder) / name for folder, _, names in os.walk(self._path) for name in names)
        for path in paths:
            if not re.search(r"#[0-9]+$", path.name):
                continue
            with suppress(FileNotFoundError):
                stat = path.stat()
                if stat.st_mtime * 1000 < before:
                    key = path.relative_to(self._path).as_posix()
                    yield StoredObject(key, stat.st_size, round(stat.st_mtime * 1000))

    def remove_legacy_partial_write(self, stored: StoredObject) -> None:
        """Delete a file that ``list_legacy_partial_writes`` yielded."""
        (Path(self._path) / stored.key).unlink(missing_ok=True)

    def signed_url(self, key: str, seconds: int) -> str | None:
        """Return a URL that anyone can GET for that many seconds; a browser saves what it gives.

        None where the store has no such URLs, or no public endpoint: then the API itself streams
        the object.
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
        """Delete files that killed processes left half written in a folder; return their names.

        Other stores have no such files.
        """
        return remove_partial_files(self._staging) if self._scheme == "file" else []

    def bucket(self) -> Bucket | None:
        """Return the S3 bucket, for requests that obstore does not have.

        None where the store is not S3, or its credentials are not in the settings.
        """
        if self._scheme != "s3" or "access_key_id" not in self._s3:
            return None
        endpoint = self._endpoint.rstrip("/") or f"https://s3.{self._s3['region']}.amazonaws.com"
        return Bucket(endpoint, self._bucket, self._path.strip("/"), **self._s3)

    # -- implementation

    @property
    def _staging(self) -> Path:
        return Path(self._path) / ".staging"

    def _parts(self, key: str, start: int, end: int) -> Iterator[bytes]:
        # One request for each part: no time limit ends a slow reader or a large object, and after a
        # failure only one part is requested again.
        for part_start in range(start, end, _PART_BYTES):
            part_end = min(part_start + _PART_BYTES, end)
            with _translated_errors(key):
                buffer = obstore.get_range(self._client(), key, start=part_start, end=part_end)
                part = bytes(buffer)
            yield part

    def _client(self, endpoint: str = "") -> Any:
        _refuse_after_fork()
        # setdefault: threads that get here together must share one client. A client of a memory
        # store is the store.
        return self._clients.get(endpoint) or self._clients.setdefault(
            endpoint, self._connect(endpoint or self._endpoint)
        )

    def _connect(self, endpoint: str) -> Any:
        if self._scheme == "file":
            # automatic_cleanup deletes folders that have become empty.
            return LocalStore(self._path, mkdir=True, automatic_cleanup=True)
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

    def _refuse_outside_link(self, key: str) -> None:
        """Raise NotFoundError where a link in the folder leads out of it."""
        if self._scheme != "file":
            return
        if resolve_inside(Path(self._path), key) is None:
            raise NotFoundError("a link that leads out of the store")

    def _put_in_folder(self, key: str, stream: Iterable[bytes]) -> None:
        """Write a file that is on the disk before it has its name.

        obstore renames first, and what it leaves behind when it is killed looks like a write in
        progress. Here a lock on the temporary file tells the two apart.
        """
        path = Path(self._path) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(exist_ok=True)
        with atomic_write(path, self._staging) as file:
            file.writelines(stream)


def _refuse_after_fork() -> None:
    """Raise RuntimeError in a fork: obstore's threads are in its parent, so a call would hang."""
    if _process.setdefault("pid", os.getpid()) != os.getpid():
        raise RuntimeError(
            "The object store was used before this process was forked; "
            "start processes by spawn or exec."
        )


def _call_for_each(stream: Iterable[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for chunk in stream:
        check()
        yield chunk


class _HashedStream:
    """Counts and hashes the chunks that pass.

    It also saves the error that ended the stream, because obstore hides errors of its source.
    """

    def __init__(self, stream: Iterable[bytes], limit_bytes: int) -> None:
        self.stream = stream
        self.limit_bytes = limit_bytes
        self.size = 0
        self.hasher = hashlib.sha256()
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self.stream:
                self._add(chunk)
                yield chunk
        except Exception as error:
            self.error = error
            raise

    def _add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.limit_bytes:
            raise TooLarge(f"This is more than the {self.limit_bytes} bytes that are allowed.")
        self.hasher.update(chunk)


def _verify_parts(key: str, parts: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    """Yield each part once the next one has come, and the last one once all are verified."""
    hasher = hashlib.sha256()
    pending = b""
    for part in parts:
        if pending:
            yield pending
        hasher.update(part)
        pending = part
    digest = hasher.hexdigest()
    if digest != sha256:
        raise CorruptObject(f"Object {key} has SHA-256 {digest}; {sha256} was stored.")
    if pending:
        yield pending


@contextmanager
def _translated_errors(key: str, source: _HashedStream | None = None) -> Iterator[None]:
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
