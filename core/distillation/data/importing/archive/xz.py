"""Reads xz within a memory limit, which lzma.LZMAFile cannot.

A stream of a few bytes may declare a dictionary of 4 GiB.
"""

import io
import lzma
from typing import TYPE_CHECKING, BinaryIO

from core.distillation.data.importing.archive.entry import CHUNK_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MEMORY_BYTES = 160 * 2**20
"""`xz -9` needs 65 MiB."""


class XzReader(io.RawIOBase):
    """Decompresses a file of one or more xz streams."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = _decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Raises EOFError where the file ends within a stream, LZMAError where it is damaged."""
        view = memoryview(buffer)
        decompressed = b""
        while not decompressed:
            compressed = b""
            if self._decoder.eof:
                compressed = self._next_stream()
                if not compressed:
                    return 0
                self._decoder = _decoder()
            elif self._decoder.needs_input:
                compressed = self._file.read(CHUNK_BYTES)
                if not compressed:
                    raise EOFError("the compressed stream has no end")
            decompressed = self._decoder.decompress(compressed, len(view))
        view[: len(decompressed)] = decompressed
        return len(decompressed)

    def _next_stream(self) -> bytes:
        """Return the first bytes of the next stream, without padding; none at the file's end."""
        rest = _strip_padding(self._decoder.unused_data)
        return rest or _strip_padding(self._file.read(CHUNK_BYTES))


def _decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES)


def _strip_padding(data: bytes) -> bytes:
    return data.lstrip(b"\0")
