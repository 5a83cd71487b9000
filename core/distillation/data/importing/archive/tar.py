"""Reads a tar archive as a stream of entries, in bounded memory.

tarfile.open does not: it keeps every entry it has read, and it reads an extended header of any
declared size.
"""

import bz2
import gzip
import io
import tarfile
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from core.distillation.data.importing.archive.entry import (
    CHUNK_BYTES,
    Entry,
    EntryKind,
    corrupt_archive,
    refuse_corruption,
)
from core.distillation.data.importing.archive.limits import DecompressionBudget
from core.distillation.data.importing.archive.xz import XzReader
from core.jobspec.file_signature import ArchiveFormat

BLOCK_BYTES = 512
MAX_EXTENSION_BYTES = 2**16
MAX_EXTENSIONS = 16
"""Extended headers before one entry; two or three are usual."""

_EXTENSIONS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
_LINKS = frozenset({tarfile.LNKTYPE, tarfile.SYMTYPE})
_FILES = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})


class _Stream:
    """The archive's decompressed bytes, read within the budget."""

    def __init__(
        self, file: BinaryIO, archive_format: ArchiveFormat, budget: DecompressionBudget
    ) -> None:
        with refuse_corruption():
            self._file = _decompress(file, archive_format)
        self._budget = budget

    def read_exactly(self, count: int) -> bytes:
        """Raises Refused (corrupt_archive) where fewer bytes remain."""
        data = self._read(count)
        if len(data) < count:
            raise corrupt_archive("it ends in the middle of an entry")
        return data

    def chunks(self, count: int) -> Iterator[bytes]:
        for start in range(0, count, CHUNK_BYTES):
            yield self.read_exactly(min(CHUNK_BYTES, count - start))

    def read_to_end(self) -> None:
        """Read to the checksum of the compression, which comes last."""
        while self._read(CHUNK_BYTES):
            pass

    def _read(self, count: int) -> bytes:
        with refuse_corruption():
            data = self._file.read(count)
        self._budget.spend(len(data))
        return data


def read_tar_entries(
    file: BinaryIO, archive_format: ArchiveFormat, budget: DecompressionBudget
) -> Iterator[Entry]:
    """Yield the entries in the order of the archive."""
    stream = _Stream(file, archive_format, budget)
    extended: dict[str, str] = {}
    extensions = 0
    while (header := _read_header(stream)) is not None:
        if header.type in _EXTENSIONS:
            extensions += 1
            if extensions > MAX_EXTENSIONS:
                raise corrupt_archive(f"more than {MAX_EXTENSIONS} extended headers in a row")
            extended |= _read_extension(header, stream)
            continue
        kind = _kind(header, extended)
        size = _size(header, extended) if kind == "file" else 0
        chunks = stream.chunks(size)
        yield Entry(extended.get("path", header.name), kind, size, chunks)
        deque(chunks, maxlen=0)  # skips what the caller did not read
        stream.read_exactly(-size % BLOCK_BYTES)
        extended = {}
        extensions = 0
    stream.read_to_end()


def _decompress(file: BinaryIO, archive_format: ArchiveFormat) -> BinaryIO | io.BufferedIOBase:
    match archive_format:
        case "tar.gz":
            return gzip.GzipFile(fileobj=file, mode="rb")
        case "tar.bz2":
            return bz2.BZ2File(file)
        case "tar.xz":
            return io.BufferedReader(XzReader(file), CHUNK_BYTES)
        case _:
            return file


def _read_header(stream: _Stream) -> tarfile.TarInfo | None:
    """Return None at the block of zeros that ends an archive."""
    block = stream.read_exactly(BLOCK_BYTES)
    if not block.strip(b"\0"):
        return None
    with refuse_corruption():
        # An extended header may replace a name that was cut in the middle of a character, so
        # invalid UTF-8 is an error only in the name that is used in the end.
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")


def _kind(header: tarfile.TarInfo, extended: dict[str, str]) -> EntryKind:
    is_sparse = any(key.startswith("GNU.sparse.") for key in extended)
    if header.type in _FILES and not is_sparse:
        return "file"
    if header.type == tarfile.DIRTYPE:
        return "folder"
    return "link" if header.type in _LINKS else "device"


def _size(header: tarfile.TarInfo, extended: dict[str, str]) -> int:
    with refuse_corruption():
        size = int(extended.get("size", header.size))
    if size < 0:
        raise corrupt_archive("an entry has a negative size")
    return size


def _read_extension(header: tarfile.TarInfo, stream: _Stream) -> dict[str, str]:
    """Return what an extended header says of the next entry, such as its path and size."""
    if not 0 <= header.size <= MAX_EXTENSION_BYTES:
        raise corrupt_archive(
            f"an extended header has {header.size} bytes, more than {MAX_EXTENSION_BYTES}"
        )
    data = stream.read_exactly(header.size)
    stream.read_exactly(-header.size % BLOCK_BYTES)
    with refuse_corruption():
        if header.type == tarfile.GNUTYPE_LONGNAME:
            return {"path": data.partition(b"\0")[0].decode()}
        return _parse_records(data) if header.type == tarfile.XHDTYPE else {}


def _parse_records(data: bytes) -> dict[str, str]:
    """Parse POSIX.1-2001 records, ``LENGTH KEY=VALUE\\n``; LENGTH counts the whole record.

    Raises ValueError.
    """
    records = {}
    start = 0
    while start < len(data):
        digits = data[start : data.index(b" ", start)]
        end = start + int(digits)
        if not start + len(digits) < end <= len(data):
            raise ValueError("a record of an extended header has a wrong length")
        key, _, value = data[start + len(digits) + 1 : end - 1].decode().partition("=")
        records[key] = value
        start = end
    return records
