"""Checkpoints in safetensors: a JSON header that says where each tensor is, and no code."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from core.distillation.models.checkpoint_files.declared_tensors import (
    DeclaredStateDict,
    DeclaredTensor,
)
from core.distillation.models.checkpoint_files.state_dicts import TOP_LEVEL
from core.errors import Refused

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
MAX_HEADER_BYTES = 8 * 2**20


class SafetensorsFile:
    """A safetensors file whose header matches its size.

    The library checks that the tensors fill the file without gap or overlap.
    """

    def __init__(self, path: Path) -> None:
        """Raise Refused (unreadable_checkpoint) for a file that the library does not accept."""
        self.path = path
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > MAX_HEADER_BYTES:
            raise _unreadable(
                f"its header has {header_bytes:,} bytes, at most {MAX_HEADER_BYTES:,} are read"
            )
        try:
            with safe_open(path, framework="pt") as file:
                keys = file.keys()
                slices = {key: file.get_slice(key) for key in keys}
                declared = {
                    key: DeclaredTensor(DTYPES[part.get_dtype()], tuple(part.get_shape()))
                    for key, part in slices.items()
                }
        except KeyError as error:
            raise _unreadable(f"it holds numbers of the unknown kind {error}") from error
        except Exception as error:
            raise _library_error(error) from error
        self.state_dicts = {TOP_LEVEL: DeclaredStateDict(declared)} if declared else {}
        self.has_more = False

    def read(self, name: str) -> dict[str, Tensor]:
        """Return a state dict's tensors by key. Raises Refused (unreadable_checkpoint)."""
        try:
            with safe_open(self.path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in self.state_dicts[name].tensors}
        except Exception as error:
            raise _library_error(error) from error


def _library_error(error: Exception) -> Refused:
    return _unreadable(f"the library reports {str(error)[:200]!r}")


def _unreadable(reason: str) -> Refused:
    return Refused(f"The safetensors file cannot be read: {reason}.", code="unreadable_checkpoint")
