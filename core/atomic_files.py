"""Files that are there whole or not at all: temporary file, fsync, rename; and their SHA-256."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


def write_atomically(path: Path, data: bytes) -> None:
    """Either all of it is there under its name, or nothing. Raises OSError naming the file."""
    with atomic_write(path) as file:
        file.write(data)


@contextmanager
def atomic_write(path: Path, staging: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write to, which becomes ``path`` when all went well and is gone when not: temp, fsync, rename, fsync of
    the folder. ``staging``: another folder of the same file system for it to lie in meanwhile.

    It is locked as long as it is written, so that ``remove_parts`` knows it from one that a killed process has left.
    Raises OSError, with its errno, naming the file.
    """
    temporary = (staging or path.parent) / f".{path.name}.{uuid4().hex}.part"
    try:
        with _locked(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        raise OSError(
            error.errno, f"{path.name} could not be written: {error.strerror or error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> list[str]:
    """Remove what processes that were killed in ``whole`` have left in the folder; the names of those files."""
    removed = []
    for part in folder.glob(".*.part"):
        with suppress(OSError), part.open("rb") as file:
            fcntl.flock(
                file, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # BlockingIOError where it is being written
            part.unlink()
            removed.append(part.name)
    return removed


def _locked(path: Path) -> BinaryIO:
    """A new file, locked before anybody could take it for left over."""
    while True:
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file
        file.close()


def _fsync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_chunks(path: Path, size: int = 2**20) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk


def sha256_of(path: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> str:
    """``progress`` is called with the bytes done, of how many."""
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    for chunk in read_chunks(path):
        digest.update(chunk)
        done += len(chunk)
        progress(done, size)
    return digest.hexdigest()
