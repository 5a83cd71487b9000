"""Tensors and storages as a checkpoint's pickle declares them: checked against what the file holds, never set aside in memory."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from core.errors import Refused

DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
MOST_DIMENSIONS = 64


@dataclass(frozen=True)
class DeclaredTensor:
    """A tensor that a file says it holds."""

    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class DeclaredStorage:
    """A run of numbers in the file, which tensors are views of."""

    dtype: torch.dtype
    elements: int

    @classmethod
    def declare(cls, dtype: torch.dtype, elements: Any, held_bytes: int) -> "DeclaredStorage":
        """Raises ValueError for nonsense, Refused where the file holds fewer bytes than that."""
        require(isinstance(elements, int) and elements >= 0)
        if elements * dtype.itemsize > held_bytes:
            raise _overdeclared(elements, held_bytes // dtype.itemsize)
        return cls(dtype, elements)


def declare_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any
) -> DeclaredTensor:
    """What torch._utils._rebuild_tensor_v2 would build of these arguments.

    Raises ValueError for nonsense, Refused where it would be larger than its storage, be it by strides of 0.
    """
    require(
        isinstance(storage, DeclaredStorage)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and hooks == {}
    )
    require(
        len(shape) <= MOST_DIMENSIONS
        and all(isinstance(number, int) and number >= 0 for number in (offset, *shape, *strides))
    )
    elements = math.prod(shape)
    reach = (
        offset + 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    )
    if elements > 0 and max(elements, reach) > storage.elements:
        raise _overdeclared(max(elements, reach), storage.elements)
    return DeclaredTensor(storage.dtype, shape)


def _overdeclared(needed: int, held: int) -> Refused:
    return Refused(
        f"The checkpoint declares a tensor that needs {needed:,} stored numbers and holds {held:,}.",
        code="unreadable_checkpoint",
    )


def require(fact: bool) -> None:
    if not fact:
        raise ValueError
