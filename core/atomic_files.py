"""Files and folders that appear complete or not at all, and the SHA-256 of files."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


class TargetUnavailable(OSError):
    """A folder that cannot be written: it has contents, or another process is writing it."""


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a complete file, or none. Raises OSError naming the file.

    ``mode``: its permissions, less the process's umask, from its first moment on.
    """
    with atomic_write(path, mode=mode) as file:
        file.write(data)


@contextmanager
def atomic_write(
    path: Path, staging: Path | None = None, *, mode: int = 0o666
) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``path`` on success and is removed on failure.

    The steps are: write, fsync, rename, fsync of the folder. ``staging``: another folder of the
    same file system for the temporary file. While it is written the file is locked, so that
    ``remove_partial_files`` can tell it from one that a killed process has left.

    Raises OSError, with its errno, naming the file.
    """
    temporary = (staging or path.parent) / f".{path.name}.{uuid4().hex}.part"
    try:
        with _create_locked(temporary, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(error.errno, f"{path.name} could not be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes ``target`` on success and is removed on failure.

    It lies in ``.NAME.part`` beside the target, which is locked, so that two processes cannot fill
    it at once and what a killed one has left is removed. Only the owner may read it (mode 0700).

    Raises TargetUnavailable.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise TargetUnavailable(f"{target} already exists and is not an empty folder.")
    part = target.with_name(f".{target.name}.part")
    part.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise TargetUnavailable(f"{target} is being written by another process.") from error
    try:
        new = part / "new"
        shutil.rmtree(new, ignore_errors=True)  # left by a process that was killed
        new.mkdir(mode=0o700)
        yield new
        os.sync()
        new.rename(target)
    finally:
        shutil.rmtree(part)
        os.close(descriptor)


def remove_partial_files(folder: Path) -> list[str]:
    """Remove temporary files that killed processes have left in the folder; return their names."""
    removed = []
    for part in folder.glob(".*.part"):
        with suppress(OSError), part.open("rb") as file:
            # Raises BlockingIOError while another process is still writing the file.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()
            removed.append(part.name)
    return removed


def _create_locked(path: Path, mode: int) -> BinaryIO:
    """Create a file and lock it.

    Between the two ``remove_partial_files`` may take the file for an abandoned one and remove it;
    then another file is created.
    """
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        file = os.fdopen(descriptor, "wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file
        file.close()


def _fsync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_chunks(path: Path, size: int = 2**20) -> Iterator[bytes]:
    """Yield a file's bytes, at most ``size`` of them at a time."""
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk


def sha256_of(
    path: Path, progress: Callable[[int, int], None] = lambda bytes_read, size: None
) -> str:
    """Return a file's SHA-256 in hexadecimal.

    ``progress`` is called after each chunk with the bytes read so far and the file's size.
    """
    digest = hashlib.sha256()
    size = path.stat().st_size
    bytes_read = 0
    for chunk in read_chunks(path):
        digest.update(chunk)
        bytes_read += len(chunk)
        progress(bytes_read, size)
    return digest.hexdigest()
