"""One array of an .npz as a stream: its header is checked against the member's size before anything is made of it."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy

from core.distillation.data.importing.archive.entry import Entry
from core.distillation.data.importing.file_kinds import quoted
from core.errors import Refused

MOST_HEADER_BYTES = 4096


@dataclass(frozen=True)
class NpyStream:
    """``pieces`` are the array's bytes, in the order of its last axis first; they can be read once."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Iterator[bytes]

    def blocks(self, rows: int) -> Iterator["np.ndarray[Any, np.dtype[Any]]"]:
        """The array, so many of its rows at a time."""
        size = rows * prod(self.shape[1:]) * self.dtype.itemsize
        held = bytearray()
        for piece in self.pieces:
            held += piece
            while len(held) >= size:
                yield self._array(held[:size])
                del held[:size]
        if held:
            yield self._array(held)

    def _array(self, data: bytearray) -> "np.ndarray[Any, np.dtype[Any]]":
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])


def opened(entry: Entry) -> NpyStream:
    """Raises Refused: unsafe_dataset for objects, which only unpickling reads; corrupt_archive for a header that is none, or
    that declares another size than the member has; unknown_format for Fortran's order."""
    head = io.BytesIO(_first_bytes(entry))
    shape, fortran, dtype = _header(entry, head)
    if dtype.hasobject:
        raise Refused(
            f"{quoted(entry.name)} is an array of Python objects, which run code when they are opened.",
            code="unsafe_dataset",
        )
    if fortran:
        raise Refused(
            f"{quoted(entry.name)} is in Fortran's order; save numpy.ascontiguousarray of it.",
            code="unknown_format",
        )
    declared, there = prod(shape) * dtype.itemsize, entry.size - head.tell()
    if declared != there:
        raise _corrupt(
            entry, f"its shape {shape} of {dtype} takes {declared} bytes, and it has {there}"
        )
    return NpyStream(entry.name, dtype, shape, chain([head.read()], entry.pieces))


def _first_bytes(entry: Entry) -> bytes:
    """As much as a header may take, and the rest of the piece that it ends in."""
    found = b""
    while len(found) < MOST_HEADER_BYTES and (piece := next(entry.pieces, b"")):
        found += piece
    return found


def _header(entry: Entry, head: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(head)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(head, max_header_size=MOST_HEADER_BYTES)
    except (
        Exception
    ) as error:  # the bytes are in memory: whatever numpy raises now is the header's fault
        raise _corrupt(entry, "it does not begin like an array of NumPy") from error
    if not all(type(side) is int and side >= 0 for side in shape):
        raise _corrupt(entry, f"its shape is {shape}")
    return shape, fortran, dtype


def _corrupt(entry: Entry, reason: str) -> Refused:
    return Refused(f"{quoted(entry.name)} cannot be read: {reason[:200]}.", code="corrupt_archive")
