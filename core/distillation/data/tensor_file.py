"""Safetensors files that need not fit in memory: written piece by piece, read where they lie."""

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
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Plan:
    """One tensor of a file that is to be written."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape) * DTYPES[self.dtype].itemsize


@contextmanager
def writing(path: Path, tensors: Mapping[str, Plan]) -> Iterator[BinaryIO]:
    """The head is written; the caller writes the tensors' bytes in the order of ``tensors``, wider types first."""
    offsets, at = {}, 0
    for name, plan in tensors.items():
        offsets[name] = {
            "dtype": plan.dtype,
            "shape": list(plan.shape),
            "data_offsets": [at, at + plan.size],
        }
        at += plan.size
    head = json.dumps(offsets).encode()
    head += b" " * (-len(head) % 8)
    with atomic_write(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)
        yield file
        if file.tell() != 8 + len(head) + at:
            raise ValueError(
                f"{file.tell() - 8 - len(head)} bytes were written for tensors of {at}."
            )


def mapped(path: Path) -> dict[str, Array]:
    """Every tensor of the file, left on disk and not to be written to. Raises SafetensorError or OSError for a bad file."""
    with safe_open(path, framework="np"):
        pass  # it checks that the head is sound, and as long as the file
    with path.open("rb") as file:
        head_bytes = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(head_bytes))
    everything = np.memmap(path, np.uint8, "r")
    found = {}
    for name, entry in head.items():
        if name != "__metadata__" and entry["dtype"] in DTYPES:
            first, end = (8 + head_bytes + offset for offset in entry["data_offsets"])
            found[name] = everything[first:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return found
