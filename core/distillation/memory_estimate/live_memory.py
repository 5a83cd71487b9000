"""Counts the memory of the tensors that are alive, as CUDA's allocator would."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

BLOCK_BYTES = 512
"""CUDA's allocator rounds every request up to a multiple of this."""
WORKSPACE_FACTOR = 10
"""Workspace of an fp32 convolution in cuDNN, as a multiple of its input's and output's size.

Fitted, like the maximum, to the rows of benchmarks/memory_estimate.py; in bf16 it is small.
"""
MAX_WORKSPACE_BYTES = 1650 * 2**20
FORWARD = torch.ops.aten.convolution.default
BACKWARD = torch.ops.aten.convolution_backward.default


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While open, counts the bytes of all tensors that operations return, until they are freed.

    Of the memory that operations use within themselves, only the workspaces of convolutions count.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.peak_bytes = 0
        self._sizes: dict[int, int] = {}
        """By identity of the storage."""

    def reset_peak(self) -> None:
        self.peak_bytes = self.bytes

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        if func in (FORWARD, BACKWARD):
            # The output, or its gradient, and the input.
            workspace_bytes = _workspace_bytes((args[0], result if func is FORWARD else args[1]))
            self.peak_bytes = max(self.peak_bytes, self.bytes + workspace_bytes)
        return result

    def _count(self, storage: UntypedStorage) -> None:
        key = id(storage)
        if key in self._sizes:
            return
        size = -(-storage.nbytes() // BLOCK_BYTES) * BLOCK_BYTES
        self._sizes[key] = size
        weakref.finalize(storage, self._free, key).atexit = False
        self.bytes += size
        self.peak_bytes = max(self.peak_bytes, self.bytes)

    def _free(self, key: int) -> None:
        self.bytes -= self._sizes.pop(key)


def _workspace_bytes(activations: tuple[Tensor, Tensor]) -> int:
    """Return what cuDNN takes meanwhile for a convolution between these two tensors, in bytes."""
    if any(tensor.dtype != torch.float32 for tensor in activations):
        return 0
    size = sum(tensor.numel() * tensor.element_size() for tensor in activations)
    return min(WORKSPACE_FACTOR * size, MAX_WORKSPACE_BYTES)
