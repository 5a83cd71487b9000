"""Like lzma.LZMAFile, which takes no limit of memory: an xz stream may declare a dictionary of 4 GiB."""

import io
import lzma
from typing import TYPE_CHECKING, BinaryIO

from core.distillation.data.importing.archive.entry import CHUNK

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MEMORY_BYTES = 160 * 2**20
"""`xz -9` needs 65 MiB."""


class XzReader(io.RawIOBase):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = _decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Raises EOFError where the file ends within a stream, LZMAError where it is damaged."""
        view = memoryview(buffer)
        piece = b""
        while not piece:
            compressed = b""
            if self._decoder.eof:
                compressed = _unpadded(self._decoder.unused_data) or _unpadded(
                    self._file.read(CHUNK)
                )
                if not compressed:
                    return 0
                self._decoder = _decoder()
            elif self._decoder.needs_input:
                compressed = self._file.read(CHUNK)
                if not compressed:
                    raise EOFError("the compressed stream has no end")
            piece = self._decoder.decompress(compressed, len(view))
        view[: len(piece)] = piece
        return len(piece)


def _decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES)


def _unpadded(data: bytes) -> bytes:
    return data.lstrip(b"\0")
