"""Inputs that many jobs share, kept on a worker's machine under their SHA-256."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.settings import Settings


def folder(settings: Settings) -> Path:
    return settings.resolved_scratch_folder / "cache"


def list_evictable(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Files, with their bytes, that can go: half-fetched ones of workers that were killed, and beyond ``cache_bytes`` those
    whose last use is the longest ago."""
    kept = 0
    old = time.time() - settings.orphan_grace_hours * 3600
    for path, found in sorted(_files(settings), key=lambda file: file[1].st_mtime, reverse=True):
        if path.name.endswith(".part"):
            if found.st_mtime < old:
                yield path, found.st_size
        elif kept + found.st_size > settings.cache_bytes:
            yield path, found.st_size
        else:
            kept += found.st_size


def _files(settings: Settings) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder(settings).glob("*"):
        with suppress(FileNotFoundError):  # another worker of this machine was first
            yield path, path.stat()
