"""The files of an upload, read by name: from a folder, or from an archive that was unpacked.

Paths are in Unicode's NFC, from the root, with "/" between folders.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from core.distillation.data.importing.layout.ignored_files import IgnoredFiles
from core.distillation.data.quoting import quote
from core.errors import Refused

ProgressCallback = Callable[[int, int], None]
"""(completed, total), in any unit. May raise to stop the import."""

MAX_FILES = 5_000_000


class FileSource(Protocol):
    """Files that an importer may read: images and CIFAR's."""

    @property
    def folders(self) -> set[str]:
        """All folders that are not hidden, empty ones included, but not the root."""

    @property
    def folders_of_unread_images(self) -> set[str]:
        """Folders of images that are not offered, since their format is not read."""

    @property
    def ignored(self) -> IgnoredFiles:
        """The files that are not offered. Importers add those that they do not use."""

    @property
    def remarks(self) -> list[str]:
        """Sentences for the report."""

    @property
    def links(self) -> Mapping[str, str]:
        """For each offered link to another offered file: the path of that file.

        Of links to one file that is not offered, the first by its path counts as the file.
        """

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
    folders_of_unread_images: set[str] = field(default_factory=set)
    ignored: IgnoredFiles = field(default_factory=IgnoredFiles)
    remarks: list[str] = field(default_factory=list)
    links: Mapping[str, str] = field(default_factory=dict)
    """None: links in an archive are refused."""
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


def pickle_error(path: str) -> Refused:
    return Refused(
        f"{quote(path)} is of a kind that can run code when it is opened. Import a folder of "
        "images, CIFAR's binary batches (the binary version, not the Python version), or an .npz "
        "with the arrays image and label.",
        code="unsafe_dataset",
    )
