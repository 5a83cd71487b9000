"""One array of an .npz as a stream of its bytes.

Its header is checked against the size of its member before any memory is allocated for it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from core.distillation.data.importing.archive.entry import Entry
from core.distillation.data.quoting import quote
from core.errors import Refused

MAX_HEADER_BYTES = 4096
MAX_REASON_CHARACTERS = 200


@dataclass(frozen=True)
class NpyStream:
    """``chunks`` are the array's bytes in C order. They can be read once."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunks: Iterator[bytes]

    def blocks(self, rows: int) -> Iterator["np.ndarray[Any, np.dtype[Any]]"]:
        """Yield the array in blocks of so many of its rows; the last may be smaller."""
        size = rows * prod(self.shape[1:]) * self.dtype.itemsize
        buffer = bytearray()
        for chunk in self.chunks:
            buffer += chunk
            while len(buffer) >= size:
                yield self._array(buffer[:size])
                del buffer[:size]
        if buffer:
            yield self._array(buffer)

    def _array(self, data: bytearray) -> "np.ndarray[Any, np.dtype[Any]]":
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])


def open_array(entry: Entry) -> NpyStream:
    """Read the header of an array.

    Raises Refused: unsafe_dataset for Python objects, which only unpickling could read;
    corrupt_archive for an invalid header, or one that does not match the member's size;
    unknown_format for Fortran order.
    """
    start = io.BytesIO(_first_bytes(entry))
    shape, is_fortran, dtype = _read_header(entry, start)
    if dtype.hasobject:
        raise Refused(
            f"{quote(entry.name)} is an array of Python objects, which can run code when it is "
            "opened; save it as numbers.",
            code="unsafe_dataset",
        )
    if is_fortran:
        raise Refused(
            f"{quote(entry.name)} is in Fortran order; save numpy.ascontiguousarray of it.",
            code="unknown_format",
        )
    declared_bytes = prod(shape) * dtype.itemsize
    actual_bytes = entry.size - start.tell()
    if declared_bytes != actual_bytes:
        raise _unreadable(
            entry,
            f"its shape {shape} of {dtype} takes {declared_bytes} bytes, and it has {actual_bytes}",
        )
    return NpyStream(entry.name, dtype, shape, chain([start.read()], entry.chunks))


def _first_bytes(entry: Entry) -> bytes:
    """Return as many bytes as a header may have, and the rest of the chunk it ends in."""
    data = b""
    while len(data) < MAX_HEADER_BYTES and (chunk := next(entry.chunks, b"")):
        data += chunk
    return data


def _read_header(entry: Entry, file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }
    try:
        read = readers[npy_format.read_magic(file)]
        shape, is_fortran, dtype = read(file, max_header_size=MAX_HEADER_BYTES)
    except Exception as error:
        # No input or output happens here, so whatever numpy raises is the header's fault.
        raise _unreadable(entry, "it does not begin with the header of a NumPy array") from error
    if not all(type(length) is int and length >= 0 for length in shape):
        raise _unreadable(entry, f"its shape is {shape}, and lengths must be whole numbers")
    return shape, is_fortran, dtype


def _unreadable(entry: Entry, reason: str) -> Refused:
    return Refused(
        f"{quote(entry.name)} cannot be read: {reason[:MAX_REASON_CHARACTERS]}.",
        code="corrupt_archive",
    )
