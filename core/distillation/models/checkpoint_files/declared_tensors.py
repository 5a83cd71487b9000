"""Tensors and storages as a checkpoint's pickle declares them.

They are checked against what the file holds before any memory is allocated for them.
"""

import math
from dataclasses import dataclass, field
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
"""By the global name, ``module name``, of the storage class in a pickle."""
MAX_DIMENSIONS = 64


@dataclass(frozen=True)
class DeclaredTensor:
    """A tensor that a file declares."""

    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class DeclaredStateDict:
    """A state dict that a file declares."""

    tensors: dict[str, DeclaredTensor]
    other_keys: list[str] = field(default_factory=list)
    """Keys whose values are not tensors."""
    constants: frozenset[str] = frozenset()
    """Which of the tensors were found beside it: a mean and std, by the path of keys in the
    file."""


@dataclass(frozen=True)
class DeclaredStorage:
    """A run of numbers in the file, of which tensors are views."""

    dtype: torch.dtype
    elements: int

    @classmethod
    def declare(cls, dtype: torch.dtype, elements: Any, stored_bytes: int) -> "DeclaredStorage":
        """Return the storage that a pickle declares.

        Raises ValueError for malformed arguments, Refused where the file stores fewer bytes.
        """
        require(isinstance(elements, int) and elements >= 0)
        if elements * dtype.itemsize > stored_bytes:
            raise _too_large(elements, stored_bytes // dtype.itemsize)
        return cls(dtype, elements)


def declare_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any
) -> DeclaredTensor:
    """Return what torch._utils._rebuild_tensor_v2 would build from these arguments.

    Raises ValueError for malformed arguments, Refused for a tensor with more elements than its
    storage, which strides of 0 would make possible, too.
    """
    require(isinstance(storage, DeclaredStorage) and hooks == {})
    require(isinstance(shape, tuple) and isinstance(strides, tuple))
    require(len(shape) <= MAX_DIMENSIONS)
    require(all(isinstance(number, int) and number >= 0 for number in (offset, *shape, *strides)))
    elements = math.prod(shape)
    last_index = offset + sum(
        (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
    )
    if elements > 0 and max(elements, last_index + 1) > storage.elements:
        raise _too_large(max(elements, last_index + 1), storage.elements)
    return DeclaredTensor(storage.dtype, shape)


def require(condition: bool) -> None:
    """Raise ValueError unless the condition holds."""
    if not condition:
        raise ValueError


def _too_large(needed: int, stored: int) -> Refused:
    return Refused(
        f"The checkpoint declares a tensor of {needed:,} stored numbers, "
        f"but holds only {stored:,} for it.",
        code="unreadable_checkpoint",
    )
