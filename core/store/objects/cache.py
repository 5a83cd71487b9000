"""Cache of inputs that many jobs share: files on a worker's machine, named by their SHA-256."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.settings import Settings


def folder(settings: Settings) -> Path:
    """Return the folder of the cache."""
    return settings.resolved_scratch_folder / "cache"


def list_evictable(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Yield files to delete, with their sizes in bytes.

    They are partial downloads of workers that were killed, and beyond ``cache_bytes`` the files
    whose last use is longest ago (LRU).
    """
    kept_bytes = 0
    abandoned_before = time.time() - settings.orphan_grace_hours * 3600
    newest_first = sorted(_files(settings), key=lambda file: file[1].st_mtime, reverse=True)
    for path, stat in newest_first:
        if path.name.endswith(".part"):
            if stat.st_mtime < abandoned_before:
                yield path, stat.st_size
        elif kept_bytes + stat.st_size > settings.cache_bytes:
            yield path, stat.st_size
        else:
            kept_bytes += stat.st_size


def _files(settings: Settings) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder(settings).glob("*"):
        with suppress(FileNotFoundError):  # another worker on this machine has deleted it
            yield path, path.stat()
