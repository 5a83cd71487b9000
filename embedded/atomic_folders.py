"""Folders that are there whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BackupError(Exception):
    """Why there is no backup, or nothing was restored."""


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A folder to be filled, which is called ``target`` when that is done, and is gone if it fails. Raises Refusal."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} is there already, and is not an empty folder.")
    part = target.with_name(f".{target.name}.part")
    part.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise BackupError(f"{target} is being written by another process.") from error
    try:
        new = part / "new"
        shutil.rmtree(new, ignore_errors=True)  # of one that was killed
        new.mkdir(mode=0o700)
        yield new
        os.sync()
        new.rename(target)
    finally:
        shutil.rmtree(part)
        os.close(descriptor)
