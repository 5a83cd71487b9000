"""A tar archive as a stream of entries, in bounded memory.

Not with tarfile.open, which keeps every entry it has seen, and reads an extended header of any declared size.
"""

import bz2
import gzip
import io
import tarfile
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Literal

from core.distillation.data.importing.archive.entry import (
    CHUNK,
    Budget,
    Entry,
    damage_refused,
    damaged,
)
from core.distillation.data.importing.archive.xz import XzReader
from core.jobspec.file_signature import ArchiveFormat

BLOCK = 512
MAX_EXTENSION_BYTES = 2**16
MAX_EXTENSIONS = 16
"""Extended headers before one entry; two or three are usual."""

_EXTENSIONS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
_LINKS = frozenset({tarfile.LNKTYPE, tarfile.SYMTYPE})
_FILES = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})


class _Stream:
    """The archive's bytes, decompressed, in exact pieces and within the budget."""

    def __init__(self, file: BinaryIO, form: ArchiveFormat, budget: Budget) -> None:
        with damage_refused():
            self._file = _decompressed(file, form)
        self._budget = budget

    def exactly(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) < count:
            raise damaged("it ends in the middle of an entry")
        return data

    def pieces(self, count: int) -> Iterator[bytes]:
        for start in range(0, count, CHUNK):
            yield self.exactly(min(CHUNK, count - start))

    def to_the_end(self) -> None:
        """A compressed stream's checksum comes last."""
        while self._read(CHUNK):
            pass

    def _read(self, count: int) -> bytes:
        with damage_refused():
            data = self._file.read(count)
        self._budget.spend(len(data))
        return data


def entries(file: BinaryIO, form: ArchiveFormat, budget: Budget) -> Iterator[Entry]:
    stream = _Stream(file, form, budget)
    extended: dict[str, str] = {}
    extensions = 0
    while (header := _header(stream)) is not None:
        if header.type in _EXTENSIONS:
            extensions += 1
            if extensions > MAX_EXTENSIONS:
                raise damaged(f"more than {MAX_EXTENSIONS} extended headers follow one another")
            extended |= _extension(header, stream)
            continue
        kind = _kind(header, extended)
        size = _size(header, extended) if kind == "file" else 0
        pieces = stream.pieces(size)
        yield Entry(extended.get("path", header.name), kind, size, pieces)
        deque(pieces, maxlen=0)  # whatever of it nobody read
        stream.exactly(-size % BLOCK)
        extended, extensions = {}, 0
    stream.to_the_end()


def _decompressed(file: BinaryIO, form: ArchiveFormat) -> BinaryIO | io.BufferedIOBase:
    match form:
        case "tar.gz":
            return gzip.GzipFile(fileobj=file, mode="rb")
        case "tar.bz2":
            return bz2.BZ2File(file)
        case "tar.xz":
            return io.BufferedReader(XzReader(file), CHUNK)
        case _:
            return file


def _header(stream: _Stream) -> tarfile.TarInfo | None:
    """None at the block of zeros that ends an archive."""
    block = stream.exactly(BLOCK)
    if not block.strip(b"\0"):
        return None
    with damage_refused():
        # An extended header may follow a name that was cut within a letter: only the name used in the end must be UTF-8.
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")


def _kind(
    header: tarfile.TarInfo, extended: dict[str, str]
) -> Literal["file", "folder", "link", "device"]:
    sparse = any(key.startswith("GNU.sparse.") for key in extended)
    if header.type in _FILES and not sparse:
        return "file"
    if header.type == tarfile.DIRTYPE:
        return "folder"
    return "link" if header.type in _LINKS else "device"


def _size(header: tarfile.TarInfo, extended: dict[str, str]) -> int:
    with damage_refused():
        size = int(extended.get("size", header.size))
    if size < 0:
        raise damaged("an entry has a negative size")
    return size


def _extension(header: tarfile.TarInfo, stream: _Stream) -> dict[str, str]:
    """What an extended header says of the entry after it: its path, its size."""
    if not 0 <= header.size <= MAX_EXTENSION_BYTES:
        raise damaged(f"an extended header of {header.size} bytes")
    data = stream.exactly(header.size)
    stream.exactly(-header.size % BLOCK)
    with damage_refused():
        if header.type == tarfile.GNUTYPE_LONGNAME:
            return {"path": data.partition(b"\0")[0].decode()}
        return _records(data) if header.type == tarfile.XHDTYPE else {}


def _records(data: bytes) -> dict[str, str]:
    """POSIX.1-2001 records, ``LENGTH KEY=VALUE\\n``; LENGTH counts the whole record. Raises ValueError."""
    records = {}
    at = 0
    while at < len(data):
        digits = data[at : data.index(b" ", at)]
        end = at + int(digits)
        if not at + len(digits) < end <= len(data):
            raise ValueError("an extended header's record has a wrong length")
        key, _, value = data[at + len(digits) + 1 : end - 1].decode().partition("=")
        records[key] = value
        at = end
    return records
