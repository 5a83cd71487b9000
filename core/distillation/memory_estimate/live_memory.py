"""Counts the memory of the tensors that are alive, as CUDA's allocator would."""

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

BLOCK_BYTES = 512
"""CUDA's allocator rounds every request up to a multiple of this."""


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While open, counts the bytes of all tensors that operations return, until they are freed.

    Memory that an operation uses within itself, such as a convolution's workspace, is not counted.
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
