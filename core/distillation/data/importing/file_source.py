"""The files of an upload, read by name: from a folder, or from an archive that was unpacked."""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from core.distillation.data.importing.file_kinds import file_kind
from core.distillation.data.quoting import quote
from core.errors import Refused
from core.jobspec.file_signature import is_pickle

ProgressCallback = Callable[[int, int], None]
"""(completed, total), in any unit. May raise to stop the import."""

MAX_FILES = 5_000_000
CIFAR_PICKLES = frozenset({"data_batch_1", "test_batch", "batches.meta", "meta"})


class FileSource(Protocol):
    """Files that an importer may read. Paths are from the root, with "/" between folders."""

    @property
    def folders(self) -> set[str]:
        """All folders, empty ones included, but not the root."""

    @property
    def left_out(self) -> int:
        """Number of files that are neither images nor CIFAR's, and are not offered."""

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, path: object, /) -> bool: ...

    def __len__(self) -> int: ...

    def size(self, path: str) -> int: ...

    def read(self, path: str) -> bytes: ...


@dataclass
class UnpackedSource:
    """Files of an archive, one after the other in a temporary file without a name.

    So no name from the archive ever reaches the file system.
    """

    storage: BinaryIO
    folders: set[str] = field(default_factory=set)
    left_out: int = 0
    _extents: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Offset and size of each file in the storage."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._extents)

    def __contains__(self, path: object, /) -> bool:
        return path in self._extents

    def __len__(self) -> int:
        return len(self._extents)

    def size(self, path: str) -> int:
        return self._extents[path][1]

    def read(self, path: str) -> bytes:
        """Return the file's bytes. Safe to call from several threads: there is no shared offset."""
        offset, size = self._extents[path]
        return os.pread(self.storage.fileno(), size, offset)

    def add(self, path: str, chunks: Iterator[bytes]) -> None:
        offset = self.storage.tell()
        self.storage.writelines(chunks)
        self._extents[path] = (offset, self.storage.tell() - offset)
        self.add_folder(path.rpartition("/")[0])

    def add_folder(self, path: str) -> None:
        """Add a folder and all that it is in."""
        while path and path not in self.folders:
            self.folders.add(path)
            path = path.rpartition("/")[0]


class FolderSource:
    """Files of a folder that the operator offers. Links are followed, each folder is read once.

    There may be millions of files; of each only its path is in memory. Raises Refused
    (unsafe_dataset, too_large).
    """

    def __init__(self, root: Path, progress: ProgressCallback) -> None:
        self.folders: set[str] = set()
        self.left_out = 0
        self._root = root
        self._progress = progress
        self._paths: list[str] = []
        self._visited: set[tuple[int, int]] = set()
        """Device and inode of each folder: links may lead in circles."""
        self._list("")
        self._paths.sort()

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __contains__(self, path: object, /) -> bool:
        index = bisect_left(self._paths, path) if isinstance(path, str) else len(self)
        return index < len(self) and self._paths[index] == path

    def __len__(self) -> int:
        return len(self._paths)

    def size(self, path: str) -> int:
        return (self._root / path).stat().st_size

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def _list(self, folder: str) -> None:
        status = (self._root / folder).stat()
        if (status.st_dev, status.st_ino) in self._visited:
            return
        self._visited.add((status.st_dev, status.st_ino))
        with os.scandir(self._root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if file_kind(entry.name) == "junk":
                    continue
                if entry.is_dir():
                    self.folders.add(path)
                    self._list(path)
                elif entry.is_file():
                    self._add(path)

    def _add(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if file_kind(name) in ("image", "cifar"):
            self._paths.append(path)
        else:
            self.left_out += 1
        if name in CIFAR_PICKLES:
            self._refuse_pickle(path)
        self._progress(len(self._paths), MAX_FILES)
        if len(self._paths) > MAX_FILES:
            raise Refused(
                f"The folder has more than {MAX_FILES} files, the most a data set may have.",
                code="too_large",
            )

    def _refuse_pickle(self, path: str) -> None:
        with (self._root / path).open("rb") as file:
            if is_pickle(file.read(2)):
                raise pickle_error(path)


def pickle_error(path: str) -> Refused:
    return Refused(
        f"{quote(path)} is of a kind that can run code when it is opened. Import a folder of "
        "images, CIFAR's binary batches (the binary version, not the Python version), or an .npz "
        "with the arrays image and label.",
        code="unsafe_dataset",
    )
