"""Unpacks the files of an archive that an importer may read, and refuses everything dangerous."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from core.distillation.data.importing.archive.entry import Entry, corrupt_archive
from core.distillation.data.importing.archive.limits import DecompressionBudget
from core.distillation.data.importing.archive.tar import read_tar_entries
from core.distillation.data.importing.archive.zip import read_zip_entries
from core.distillation.data.importing.file_kinds import (
    begins_as_image,
    file_kind,
    is_unicode,
    normalize_name,
    reason_to_ignore,
)
from core.distillation.data.importing.file_source import (
    MAX_FILES,
    ProgressCallback,
    UnpackedSource,
    pickle_error,
)
from core.distillation.data.importing.layout.folder_list import FolderList
from core.distillation.data.importing.layout.folder_tree import parents
from core.distillation.data.quoting import quote
from core.errors import Refused
from core.jobspec.file_signature import detect_archive_format, is_pickle

MAX_FILE_BYTES = 2**28
MAX_DEPTH = 10
MAX_PATH_CHARACTERS = 1000
MAX_IGNORED_ENTRIES = 10_000
"""Folders and ignored files that an archive may have, and two more for each imported file."""


def unpack(archive: Path, storage: BinaryIO, progress: ProgressCallback) -> UnpackedSource:
    """Copy the images and CIFAR files of ``archive`` to ``storage``, an empty file.

    All others are left out. Raises Refused as soon as it meets a link, a device, a pickle or a path
    that leads elsewhere (unsafe_dataset), a bomb (too_large), or damage (corrupt_archive).
    """
    files = UnpackedSource(storage)
    folders = FolderList()
    forms: defaultdict[str, set[str]] = defaultdict(set)
    """By the path in NFC of each folder, the paths that the archive has for it."""
    ignored = 0
    guessed_names = 0
    size = archive.stat().st_size
    with archive.open("rb") as file:
        for entry in _read_entries(file, DecompressionBudget(size)):
            ignored += not _add(entry, files, folders)
            guessed_names += entry.has_guessed_name
            for folder in () if entry.name.isascii() else parents(entry.name):
                forms[normalize_name(folder)].add(folder)
            if len(files) > MAX_FILES or ignored > MAX_IGNORED_ENTRIES + 2 * len(files):
                raise Refused(
                    f"The archive has too many entries: {len(files)} files of a data set and "
                    f"{ignored} others; it may have {MAX_FILES} files of a data set, and "
                    f"{MAX_IGNORED_ENTRIES} others plus two for each such file.",
                    code="too_large",
                )
            progress(file.tell(), size)
    storage.flush()
    folders.ignore_empty(files.ignored)
    files.folders = folders.visible()
    files.folders_of_unread_images = folders.with_unread_images
    files.remarks += _remarks(guessed_names, forms)
    return files


def _remarks(guessed_names: int, forms: Mapping[str, set[str]]) -> list[str]:
    """Return sentences for the report about the names in the archive."""
    remarks = []
    if guessed_names:
        remarks.append(
            f"{guessed_names} names in the zip are not in UTF-8; they were read in code page 437."
        )
    merged = [quote(folder) for folder, paths in forms.items() if len(paths) > 1]
    if merged:
        remarks.append(
            f"{len(merged)} folders have their names in two forms of Unicode in the archive, and "
            f"were read as one each, such as {merged[0]}."
        )
    return remarks


def _read_entries(file: BinaryIO, budget: DecompressionBudget) -> Iterator[Entry]:
    archive_format = detect_archive_format(file.read(512))
    file.seek(0)
    if archive_format == "zip":
        return read_zip_entries(file, budget)
    return read_tar_entries(file, archive_format, budget)


def _add(entry: Entry, files: UnpackedSource, folders: FolderList) -> bool:
    """Add an entry, and return whether it is a file of the data set.

    The folder of a file that is left out is added nevertheless: a class without images must not go
    unnoticed.
    """
    path = _safe_path(entry)
    if entry.kind == "folder":
        folders.add(path)
        return False
    folders.add_parent_of(path)
    kind = file_kind(path)
    first_chunk = b""
    if kind in ("other", "array", "pickle"):
        first_chunk = next(entry.chunks, b"")
        _refuse_pickle(path, first_chunk)
    if kind == "junk" or (kind == "other" and not begins_as_image(path, first_chunk)):
        files.ignored.add(path, reason_to_ignore(path))
        return False
    if path in files:
        raise corrupt_archive(f"{quote(path)} occurs twice")
    files.add(path, chain([first_chunk], entry.chunks))
    return True


def _refuse_pickle(path: str, first_bytes: bytes) -> None:
    """Raise Refused for a file that may run code, and for arrays, which are not in an archive."""
    kind = file_kind(path)
    if kind == "array":
        raise Refused(
            f"{quote(path)} is a file of NumPy arrays in an archive of other files; import an .npz "
            "by itself, with the arrays image and label, or an archive without it.",
            code="unsafe_dataset",
        )
    if kind == "pickle" or is_pickle(first_bytes):
        raise pickle_error(path)


def _safe_path(entry: Entry) -> str:
    """Return the path from the archive's root, or raise Refused.

    Archives from Windows may have backslashes between folders, and then no slashes. Beside a slash,
    a backslash is a part of a name: of a character of CP932 or GBK whose second byte is 0x5C.
    """
    windows_name = entry.name.replace("\\", "/")
    name = entry.name if "/" in entry.name else windows_name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    leads_out = windows_name.startswith("/") or ".." in windows_name.split("/")
    if leads_out or name[1:2] == ":" or "\0" in name:
        raise Refused(
            f"The archive's entry {quote(entry.name)} leads out of the archive; paths must be "
            'relative, and without "..".',
            code="unsafe_dataset",
        )
    if entry.kind in ("link", "device"):
        raise Refused(
            f"{quote(entry.name)} is a link, a device or a sparse file; a data set may have "
            "regular files and folders only.",
            code="unsafe_dataset",
        )
    if not is_unicode(name):
        raise corrupt_archive(f"the name {quote(entry.name)} is not UTF-8")
    if len(name) > MAX_PATH_CHARACTERS or len(parts) > MAX_DEPTH:
        raise Refused(
            f"The path {quote(entry.name)} has {len(name)} characters and {len(parts)} parts; "
            f"it may have at most {MAX_PATH_CHARACTERS} characters and {MAX_DEPTH} parts.",
            code="too_large",
        )
    if entry.size > MAX_FILE_BYTES:
        raise Refused(
            f"{quote(entry.name)} has {entry.size} bytes; a file may have at most "
            f"{MAX_FILE_BYTES}.",
            code="too_large",
        )
    return normalize_name("/".join(parts))
