"""Opens an archive that a stranger sent: regular files and folders only, nothing outside the staging folder, within limits."""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from core.distillation.data.archive.entry import Budget, Entry, damaged
from core.distillation.data.archive.tar import entries as tar_entries
from core.distillation.data.archive.zip import entries as zip_entries
from core.distillation.data.file_kinds import FileKind, file_kind, quoted
from core.errors import Refused
from core.spec.sniff import archive_format, is_pickle

Progress = Callable[[int, int], None]
"""So much of so much is done, in any unit."""

MAX_FILES = 5_000_000
MAX_FILE_BYTES = 2**28
MAX_DEPTH = 10
MAX_NAME_BYTES = 1000
IDLE_ENTRIES = 10_000
"""Entries of no use (folders, files left out) that an archive may have, and two more for each file of use."""


def unpack(archive: Path, into: Path, progress: Progress) -> int:
    """Writes the images and CIFAR files of ``archive`` below ``into``, an empty folder; returns how many files it left out.

    Folders are kept even if empty: a class without images should be noticed. Raises Refused for links and devices, names that
    lead elsewhere, pickles (unsafe_dataset), bombs (too_large), and damage (corrupt_archive).
    """
    kept = idle = left_out = 0
    size = archive.stat().st_size
    with archive.open("rb") as file:
        for entry in _entries(file, Budget(size)):
            path = _safe_path(entry)
            kind = file_kind(path)
            if entry.kind == "file" and kind in ("image", "cifar"):
                _write(entry, into / path)
                kept += 1
            else:
                _make_room(entry, path, kind, into)
                idle += 1
                left_out += entry.kind == "file" and kind != "junk"
            if kept > MAX_FILES or idle > IDLE_ENTRIES + 2 * kept:
                raise Refused(
                    f"The archive has too many entries: {kept} files of use (at most {MAX_FILES}) and {idle} others so far.",
                    code="too_large",
                )
            progress(file.tell(), size)
    return left_out


def _entries(file: BinaryIO, budget: Budget) -> Iterator[Entry]:
    form = archive_format(file.read(512))
    file.seek(0)
    return zip_entries(file, budget) if form == "zip" else tar_entries(file, form, budget)


def _safe_path(entry: Entry) -> PurePosixPath:
    """Its path below the staging folder. Zip files from Windows may separate folders by backslashes."""
    name = entry.name.replace("\\", "/")
    path = PurePosixPath(*(part for part in name.split("/") if part not in ("", ".")))
    if name.startswith("/") or name[1:2] == ":" or ".." in path.parts or "\0" in name:
        raise Refused(f"The archive has an entry that leads elsewhere: {quoted(entry.name)}.", code="unsafe_dataset")
    if entry.kind in ("link", "device"):
        raise Refused(
            f"{quoted(entry.name)} is not a regular file but a link, a device or a sparse file; a data set has files and "
            "folders only.",
            code="unsafe_dataset",
        )
    try:
        length = max((len(part.encode()) for part in path.parts), default=0)
    except UnicodeEncodeError as error:
        raise damaged(f"the name {quoted(entry.name)} is not UTF-8") from error
    if length > 255 or len(name.encode()) > MAX_NAME_BYTES or len(path.parts) > MAX_DEPTH:
        raise Refused(f"{quoted(entry.name)} is too long, or more than {MAX_DEPTH} folders deep.", code="too_large")
    if entry.size > MAX_FILE_BYTES:
        raise Refused(f"{quoted(entry.name)} has {entry.size} bytes; a file may have {MAX_FILE_BYTES}.", code="too_large")
    return path


def _write(entry: Entry, target: Path) -> None:
    if entry.size == 0:
        raise Refused(f"{quoted(entry.name)} is empty.", code="unreadable_image")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.writelines(entry.pieces)
    except (FileExistsError, NotADirectoryError) as error:
        raise damaged(f"{quoted(entry.name)} is in it twice") from error


def _make_room(entry: Entry, path: PurePosixPath, kind: FileKind, into: Path) -> None:
    """The folders of an entry whose bytes are not wanted."""
    if kind == "junk":
        return
    if entry.kind == "file" and (kind == "pickle" or is_pickle(next(entry.pieces, b""))):
        raise Refused(
            f"{quoted(entry.name)} is of a kind that can run code when it is opened. A data set is a folder of images, or "
            "CIFAR's binary batches (the download named binary version, not the Python one).",
            code="unsafe_dataset",
        )
    folder = into / (path if entry.kind == "folder" else path.parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise damaged(f"{quoted(entry.name)} is in it twice") from error
