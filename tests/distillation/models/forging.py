"""Checkpoints that torch.save would never write."""

import io
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Forged:
    """A tensor that declares any shape, strides and storage."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    elements: int
    storage: str = "0"
    offset: int = 0


class _Forger(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, _ForgedStorage) else None

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Forged):
            return NotImplemented
        storage = _ForgedStorage(
            ("storage", torch.FloatStorage, value.storage, "cpu", value.elements)
        )
        return torch._utils._rebuild_tensor_v2, (
            storage,
            value.offset,
            value.shape,
            value.strides,
            False,
            OrderedDict(),
        )


@dataclass
class _ForgedStorage:
    identity: tuple[Any, ...]


def forged_checkpoint(
    tree: Any, *, storages: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
) -> bytes:
    """Return a zip like torch.save's around any pickle: of ``tree``, or the bytes of a stream."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("archive/data.pkl", tree if isinstance(tree, bytes) else _pickled(tree))
        archive.writestr("archive/byteorder", "little")
        for key, content in (storages or {"0": bytes(4)}).items():
            archive.writestr(f"archive/data/{key}", content)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def _pickled(tree: Any) -> bytes:
    stream = io.BytesIO()
    _Forger(stream, protocol=2).dump(tree)
    return stream.getvalue()
