"""Somebody's files, to be read by name, wherever they are: in a folder, or unpacked from an archive into one nameless file."""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from core.distillation.data.importing.file_kinds import file_kind, quoted
from core.errors import Refused
from core.jobspec.file_signature import is_pickle

Progress = Callable[[int, int], None]
"""So much of so much is done, in any unit."""

MAX_FILES = 5_000_000
CIFAR_PICKLES = frozenset({"data_batch_1", "test_batch", "batches.meta", "meta"})


class Files(Protocol):
    """Paths lead from the root of the data set, with "/" between folders."""

    @property
    def folders(self) -> set[str]:
        """With those that hold nothing, but never the root."""

    @property
    def left_out(self) -> int:
        """How many files are neither images nor CIFAR's, and not here."""

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, path: object, /) -> bool: ...

    def __len__(self) -> int: ...

    def size(self, path: str) -> int: ...

    def read(self, path: str) -> bytes: ...


@dataclass
class UnpackedFiles:
    """One after the other in a temporary file without a name: no name from an archive ever reaches the file system."""

    heap: BinaryIO
    folders: set[str] = field(default_factory=set)
    left_out: int = 0
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, path: object, /) -> bool:
        return path in self._places

    def __len__(self) -> int:
        return len(self._places)

    def size(self, path: str) -> int:
        return self._places[path][1]

    def read(self, path: str) -> bytes:
        """From several threads at once, if wanted."""
        start, size = self._places[path]
        return os.pread(self.heap.fileno(), size, start)

    def add(self, path: str, pieces: Iterator[bytes]) -> None:
        start = self.heap.tell()
        self.heap.writelines(pieces)
        self._places[path] = (start, self.heap.tell() - start)
        self.add_folder(path.rpartition("/")[0])

    def add_folder(self, path: str) -> None:
        """And those it is in."""
        while path and path not in self.folders:
            self.folders.add(path)
            path = path.rpartition("/")[0]


class FolderFiles:
    """Of a folder that the operator offers; links are followed, each folder once. Raises Refused (unsafe_dataset).

    There may be millions: of each only its path is in memory.
    """

    def __init__(self, root: Path, progress: Progress) -> None:
        self.folders: set[str] = set()
        self.left_out = 0
        self._root, self._progress = root, progress
        self._paths: list[str] = []
        self._seen: set[tuple[int, int]] = set()
        self._list("")
        self._paths.sort()

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __contains__(self, path: object, /) -> bool:
        at = bisect_left(self._paths, path) if isinstance(path, str) else len(self)
        return at < len(self) and self._paths[at] == path

    def __len__(self) -> int:
        return len(self._paths)

    def size(self, path: str) -> int:
        return (self._root / path).stat().st_size

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def _list(self, folder: str) -> None:
        facts = (self._root / folder).stat()
        if (facts.st_dev, facts.st_ino) in self._seen:
            return
        self._seen.add((facts.st_dev, facts.st_ino))
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
            raise Refused(f"The folder has more than {MAX_FILES} files.", code="too_large")

    def _refuse_pickle(self, path: str) -> None:
        with (self._root / path).open("rb") as file:
            if is_pickle(file.read(2)):
                raise pickle_refused(path)


def pickle_refused(path: str) -> Refused:
    return Refused(
        f"{quoted(path)} is of a kind that can run code when it is opened. A data set is a folder of images, CIFAR's binary "
        "batches (its authors' binary version, not the Python one), or an .npz whose arrays are image and label.",
        code="unsafe_dataset",
    )
