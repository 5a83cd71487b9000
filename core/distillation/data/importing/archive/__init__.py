"""Opens an archive that a stranger sent: regular files and folders only, within limits."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.distillation.data.importing.archive.entry import Budget, Entry, damaged
from core.distillation.data.importing.archive.tar import entries as tar_entries
from core.distillation.data.importing.archive.zip import entries as zip_entries
from core.distillation.data.importing.file_kinds import file_kind, is_unicode, quoted
from core.distillation.data.importing.file_source import (
    MAX_FILES,
    Progress,
    UnpackedFiles,
    pickle_refused,
)
from core.errors import Refused
from core.jobspec.file_signature import archive_format, is_pickle

MAX_FILE_BYTES = 2**28
MAX_DEPTH = 10
MAX_PATH_LETTERS = 1000
IDLE_ENTRIES = 10_000
"""Entries of no use (folders, files left out) that an archive may have, and two more for each file of use."""


def unpack(archive: Path, heap: BinaryIO, progress: Progress) -> UnpackedFiles:
    """Writes the images and CIFAR files of ``archive`` to ``heap``, an empty file, and leaves out every other.

    Raises Refused for links, devices, pickles and paths that lead elsewhere (unsafe_dataset), bombs (too_large), and damage
    (corrupt_archive), as soon as it meets them.
    """
    files = UnpackedFiles(heap)
    idle = 0
    size = archive.stat().st_size
    with archive.open("rb") as file:
        for entry in _entries(file, Budget(size)):
            idle += not _take(entry, files)
            if len(files) > MAX_FILES or idle > IDLE_ENTRIES + 2 * len(files):
                raise Refused(
                    f"The archive has too many entries: {len(files)} files of use (at most {MAX_FILES}) and {idle} others.",
                    code="too_large",
                )
            progress(file.tell(), size)
    heap.flush()
    return files


def _entries(file: BinaryIO, budget: Budget) -> Iterator[Entry]:
    form = archive_format(file.read(512))
    file.seek(0)
    return zip_entries(file, budget) if form == "zip" else tar_entries(file, form, budget)


def _take(entry: Entry, files: UnpackedFiles) -> bool:
    """Whether it was of use. The folder of a file left out is kept: a class without images should be noticed."""
    path = _safe_path(entry)
    kind = file_kind(path)
    if kind == "junk":
        return False
    if entry.kind == "folder":
        files.add_folder(path)
        return False
    if kind not in ("image", "cifar"):
        if kind == "pickle" or is_pickle(next(entry.pieces, b"")):
            raise pickle_refused(path)
        files.add_folder(path.rpartition("/")[0])
        files.left_out += 1
        return False
    if path in files:
        raise damaged(f"{quoted(path)} is in it twice")
    if entry.size == 0:
        raise Refused(f"{quoted(path)} is empty.", code="unreadable_image")
    files.add(path, entry.pieces)
    return True


def _safe_path(entry: Entry) -> str:
    """Its path from the archive's root. Zip files from Windows may separate folders by backslashes."""
    name = entry.name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or name[1:2] == ":" or ".." in parts or "\0" in name:
        raise Refused(
            f"The archive has an entry that leads elsewhere: {quoted(entry.name)}.",
            code="unsafe_dataset",
        )
    if entry.kind in ("link", "device"):
        raise Refused(
            f"{quoted(entry.name)} is a link, a device or a sparse file; a data set has regular files and folders only.",
            code="unsafe_dataset",
        )
    if not is_unicode(name):
        raise damaged(f"the name {quoted(entry.name)} is not UTF-8")
    if len(name) > MAX_PATH_LETTERS or len(parts) > MAX_DEPTH:
        raise Refused(
            f"{quoted(entry.name)} has more than {MAX_PATH_LETTERS} letters, or is more than {MAX_DEPTH} folders deep.",
            code="too_large",
        )
    if entry.size > MAX_FILE_BYTES:
        raise Refused(
            f"{quoted(entry.name)} has {entry.size} bytes; a file may have {MAX_FILE_BYTES}.",
            code="too_large",
        )
    return "/".join(parts)
