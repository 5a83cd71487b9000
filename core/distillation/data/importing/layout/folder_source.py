"""The files of a folder that the operator offers, whose links are followed."""

import errno
import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from core.distillation.data.importing.file_kinds import (
    SIGNATURE_BYTES,
    begins_as_image,
    file_kind,
    is_junk,
    normalize_name,
    reason_to_ignore,
)
from core.distillation.data.importing.file_source import MAX_FILES, ProgressCallback, pickle_error
from core.distillation.data.importing.layout import ignored_files
from core.distillation.data.importing.layout.folder_list import FolderList
from core.distillation.data.importing.layout.ignored_files import IgnoredFiles
from core.distillation.data.quoting import quote
from core.errors import Refused
from core.jobspec.file_signature import is_pickle

CIFAR_PICKLES = frozenset({"data_batch_1", "test_batch", "batches.meta", "meta"})
NOT_ACCESSIBLE = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors that are due to the folder, and not to the disk."""


class FolderSource:
    """Files of a folder. Links are followed, each folder is read once.

    Whatever is no link is read before any link is followed, and links are followed in the order of
    their paths: so nothing depends on the order in which the system lists a folder, and an image
    that a link leads to has the label of the folder it really is in. There may be millions of
    files; of each only its path is in memory. Raises Refused (unsafe_dataset, too_large,
    unreadable_folder, unknown_format).
    """

    def __init__(self, root: Path, progress: ProgressCallback) -> None:
        self.ignored = IgnoredFiles()
        self.remarks: list[str] = []
        self.links: dict[str, str] = {}
        self._root = root
        self._progress = progress
        self._folder_list = FolderList()
        self._paths: list[str] = []
        self._stored_paths: dict[str, str] = {}
        """Where files and folders are whose path is not in NFC."""
        self._visited: set[tuple[int, int]] = set()
        """Device and inode of each folder: links may lead in circles."""
        self._links_to_files: list[str] = []
        links_to_folders = self._list("")
        while links_to_folders:
            links_to_folders = [
                link for path in sorted(links_to_folders) for link in self._list(path)
            ]
        self._paths.sort()
        self._resolve_links_to_files()
        self._folder_list.ignore_empty(self.ignored)
        self.folders = self._folder_list.visible()
        self.folders_of_unread_images = self._folder_list.with_unread_images

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __contains__(self, path: object, /) -> bool:
        index = bisect_left(self._paths, path) if isinstance(path, str) else len(self)
        return index < len(self) and self._paths[index] == path

    def __len__(self) -> int:
        return len(self._paths)

    def size(self, path: str) -> int:
        with _refuse_inaccessible(path):
            return self._location(path).stat().st_size

    def read(self, path: str) -> bytes:
        with _refuse_inaccessible(path):
            return self._location(path).read_bytes()

    def _list(self, top: str) -> list[str]:
        """Add all that is below a folder; return its links to folders, to be followed later."""
        links = []
        pending = [top]
        while pending:
            folder = pending.pop()
            if not is_junk(folder) and not self._visit(folder):
                continue
            self._folder_list.add(folder)
            for entry in self._entries(folder):
                path = self._path_of(folder, entry.name)
                if entry.is_symlink():
                    links += self._add_link(path)
                elif entry.is_dir():
                    pending.append(path)
                else:
                    self._add_file(path, is_regular=entry.is_file())
        return links

    def _visit(self, folder: str) -> bool:
        """Return whether a folder is to be read: whether it has not been read before."""
        status = self._location(folder).stat()
        inode = (status.st_dev, status.st_ino)
        if inode not in self._visited:
            self._visited.add(inode)
            return True
        real_path = os.path.realpath(self._location(folder))
        real_parent = os.path.realpath(self._location(folder).parent)
        leads_upwards = Path(real_parent).is_relative_to(real_path)
        reason = ignored_files.CIRCULAR_LINK if leads_upwards else ignored_files.FOLDER_READ_BEFORE
        self._folder_list.add_parent_of(folder)
        self.ignored.add(folder, reason)
        return False

    def _entries(self, folder: str) -> list["os.DirEntry[str]"]:
        """Return the entries of a folder in an order of their names."""
        try:
            with os.scandir(self._location(folder)) as iterator:
                entries = sorted(iterator, key=lambda entry: normalize_name(entry.name))
        except OSError as error:
            if error.errno not in NOT_ACCESSIBLE:
                raise
            raise Refused(
                f"The folder {quote(folder)} cannot be listed ({error.strerror}).",
                code="unreadable_folder",
            ) from error
        for first, second in pairwise(entries):
            if normalize_name(first.name) == normalize_name(second.name):
                place = f"The folder {quote(folder)}" if folder else "The folder"
                raise Refused(
                    f"{place} has two entries whose names are written alike, "
                    f"{quote(first.name)}, in two forms of Unicode; rename one.",
                    code="unknown_format",
                )
        return entries

    def _path_of(self, folder: str, name: str) -> str:
        """Return the path by which an entry of a folder is known."""
        path = normalize_name(f"{folder}/{name}" if folder else name)
        stored_folder = self._stored_paths.get(folder, folder)
        stored_path = f"{stored_folder}/{name}" if folder else name
        if stored_path != path:
            self._stored_paths[path] = stored_path
        return path

    def _location(self, path: str) -> Path:
        return self._root / self._stored_paths.get(path, path)

    def _add_link(self, path: str) -> list[str]:
        """Add a link to a file. Return a link to a folder."""
        try:
            mode = self._location(path).stat().st_mode
        except OSError as error:
            if error.errno not in NOT_ACCESSIBLE:
                raise
            is_circle = error.errno == errno.ELOOP
            reason = ignored_files.CIRCULAR_LINK if is_circle else ignored_files.BROKEN_LINK
            self._ignore(path, reason)
            return []
        if not stat.S_ISDIR(mode):
            self._add_file(path, is_regular=stat.S_ISREG(mode))
            self._links_to_files.append(path)
        elif is_junk(path):
            self._ignore(path, reason_to_ignore(path))
        else:
            return [path]
        return []

    def _add_file(self, path: str, *, is_regular: bool) -> None:
        self._progress(len(self._paths), MAX_FILES)
        if is_junk(path):
            self._ignore(path, reason_to_ignore(path))
        elif not is_regular:
            self._ignore(path, ignored_files.SPECIAL_FILE)
        elif not self._is_offered(path):
            self._ignore(path, reason_to_ignore(path))
        else:
            self._folder_list.add_parent_of(path)
            self._paths.append(path)
        if len(self._paths) > MAX_FILES:
            raise Refused(
                f"The folder has more than {MAX_FILES} files, the most a data set may have.",
                code="too_large",
            )

    def _is_offered(self, path: str) -> bool:
        """Return whether a file is an image or one of CIFAR's. Raises Refused for its pickles."""
        kind = file_kind(path)
        if kind != "other":
            return kind in ("image", "cifar")
        with _refuse_inaccessible(path), self._location(path).open("rb") as file:
            first_bytes = file.read(SIGNATURE_BYTES)
        if path.rpartition("/")[2] in CIFAR_PICKLES and is_pickle(first_bytes):
            raise pickle_error(path)
        return begins_as_image(path, first_bytes)

    def _ignore(self, path: str, reason: str) -> None:
        self._folder_list.add_parent_of(path)
        self.ignored.add(path, reason)

    def _resolve_links_to_files(self) -> None:
        """Find out where links lead. To a file that is not offered: to the first link to it."""
        first_links: dict[str, str] = {}
        for path in sorted(self._links_to_files):
            if path not in self:
                continue
            real_path = os.path.realpath(self._location(path))
            target = normalize_name(os.path.relpath(real_path, self._root))
            if target not in self:
                target = first_links.setdefault(real_path, path)
            if target != path:
                self.links[path] = target


@contextmanager
def _refuse_inaccessible(path: str) -> Iterator[None]:
    """Raise Refused for a file that cannot be opened for a reason that is not the disk's."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_ACCESSIBLE:
            raise
        raise Refused(
            f"{quote(path)} cannot be opened ({error.strerror}).", code="unreadable_image"
        ) from error
