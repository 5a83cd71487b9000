"""Safetensors files that need not fit in memory: written piece by piece, read by mapping."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import safe_open

from core.atomic_files import atomic_write

DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("<u1"), "I64": np.dtype("<i8")}
LENGTH_BYTES = 8
"""A file begins with the length of its header, and then the header, which is JSON."""
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a file to be written."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return prod(self.shape) * DTYPES[self.dtype].itemsize


@contextmanager
def write_tensors(path: Path, tensors: Mapping[str, TensorSpec]) -> Iterator[BinaryIO]:
    """Write the header, and yield the file for the bytes of the tensors.

    The caller writes them in the order of ``tensors``, wider dtypes first so that all are aligned.
    The file appears at ``path`` once it is complete. Raises ValueError for a wrong number of bytes.
    """
    entries = {}
    data_bytes = 0
    for name, spec in tensors.items():
        end = data_bytes + spec.size
        entries[name] = {
            "dtype": spec.dtype,
            "shape": list(spec.shape),
            "data_offsets": [data_bytes, end],
        }
        data_bytes = end
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % LENGTH_BYTES)
    with atomic_write(path) as file:
        file.write(len(header).to_bytes(LENGTH_BYTES, "little") + header)
        yield file
        written = file.tell() - LENGTH_BYTES - len(header)
        if written != data_bytes:
            raise ValueError(f"{written} bytes were written for tensors of {data_bytes} bytes.")


def map_tensors(path: Path) -> dict[str, Array]:
    """Map every tensor of the file, read-only; they stay on disk.

    Raises SafetensorError or OSError for a damaged file.
    """
    with safe_open(path, framework="np"):
        pass  # checks that the header is valid, and that the file is as long as it says
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = json.loads(file.read(header_bytes))
    data = np.memmap(path, np.uint8, "r")[LENGTH_BYTES + header_bytes :]
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in DTYPES:
            start, end = entry["data_offsets"]
            tensor = data[start:end].view(DTYPES[entry["dtype"]])
            tensors[name] = tensor.reshape(entry["shape"])
    return tensors
