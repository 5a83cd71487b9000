"""Checkpoints that run code or exhaust memory if they are opened carelessly.

What runs touches the canary, the file that each builder is given.
"""

import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core.distillation.models import build
from tests.distillation.models.forging import Forged, forged_checkpoint
from tests.intruders.import_service import FileBuilder
from tests.intruders.payload import Payload


class RebuiltAsAnotherType(Payload):
    """Pickled like a subclass of Tensor: a function to call, a type, its arguments, a state."""

    def __reduce__(self) -> Any:
        return torch._tensor._rebuild_from_type_v2, (
            os.system,
            torch.Tensor,
            super().__reduce__()[1],
            {},
        )


class LoadedFromBytes(Payload):
    """Pickled like a storage of torch: bytes for another, unrestricted torch.load."""

    def __reduce__(self) -> Any:
        buffer = io.BytesIO()
        torch.save(Payload(self.canary), buffer, _use_new_zipfile_serialization=False)
        return torch.storage._load_from_bytes, (buffer.getvalue(),)


def state_dict() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build("small_cnn", 10, width=4).state_dict()


def save_checkpoint(tree: Any, **options: Any) -> bytes:
    """Return what torch.save writes; ``options`` are its own."""
    buffer = io.BytesIO()
    torch.save(tree, buffer, **options)
    return buffer.getvalue()


def checkpoint_with_payload(payload: Payload) -> bytes:
    """Return a checkpoint of usable weights, with the payload deep inside."""
    return save_checkpoint(
        {"state_dict": state_dict() | {"more": {"deeper": [payload]}}, "epoch": 3}
    )


def checkpoint_of_opcodes(text: str) -> FileBuilder:
    """Build a checkpoint whose pickle is written by hand; CANARY stands for the command to run."""
    return lambda canary: forged_checkpoint(
        b"\x80\x02" + text.replace("CANARY", f"echo ran >> {canary}").encode("latin-1")
    )


def bare_pickle(canary: Path, *, protocol: int) -> bytes:
    return pickle.dumps({"state_dict": Payload(canary)}, protocol)


def legacy_file(canary: Path) -> bytes:
    """Return a file in the format that torch.save had before version 1.6."""
    return save_checkpoint(
        {"state_dict": state_dict(), "more": Payload(canary)}, _use_new_zipfile_serialization=False
    )


def legacy_tar(canary: Path) -> bytes:
    """Return a file in the format that torch.save had before version 0.4."""
    buffer = io.BytesIO()
    content = pickle.dumps(Payload(canary))
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def torchscript(_: Path) -> bytes:
    buffer = io.BytesIO()
    network = build("small_cnn", 10, width=4)
    images = torch.rand(1, 3, 32, 32)
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.trace(network, images), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


REFUSED_BY_SIGNATURE: dict[str, FileBuilder] = {
    **{
        f"a bare pickle, protocol {protocol}": partial(bare_pickle, protocol=protocol)
        for protocol in range(6)
    },
    "torch.save's format before 1.6": legacy_file,
    "a tar from before 0.4": legacy_tar,
}
"""Refused because of their first bytes, as unsafe_checkpoint."""

PICKLES: dict[str, FileBuilder] = {
    "a payload deep in a state dict": lambda canary: checkpoint_with_payload(Payload(canary)),
    "a tensor of another type": lambda canary: checkpoint_with_payload(
        RebuiltAsAnotherType(canary)
    ),
    "bytes for another torch.load": lambda canary: checkpoint_with_payload(LoadedFromBytes(canary)),
    "INST": checkpoint_of_opcodes("(S'CANARY'\nios\nsystem\n."),
    "GLOBAL and BUILD": checkpoint_of_opcodes(
        "ccollections\nOrderedDict\n)Rcos\nsystem\nU\x01xs}U\x04hookcos\nsystem\nsb."
    ),
    "a TorchScript program": torchscript,
}
"""Refused by the importer, as unsafe_checkpoint."""


def safetensors_of_shape(shape: list[int]) -> bytes:
    """Return a safetensors file that declares 4 * 10^10 bytes and holds four."""
    header = json.dumps(
        {"conv1.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * 10**10]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def checkpoint_with_tensor(tensor: Forged) -> bytes:
    return forged_checkpoint({"conv1.weight": tensor})


BOMBS: dict[str, FileBuilder] = {
    "10^10 elements in a safetensors header": lambda _: safetensors_of_shape([10**5, 10**5]),
    "10^10 elements in a storage of one": lambda _: checkpoint_with_tensor(
        Forged((10**5, 10**5), (10**5, 1), 10**10)
    ),
    "10^10 views of one element": lambda _: checkpoint_with_tensor(
        Forged((10**5, 10**5), (0, 0), 1)
    ),
    "weights compressed 1000 times": lambda _: forged_checkpoint(
        {}, storages={"0": bytes(2 * 10**8)}, compression=zipfile.ZIP_DEFLATED
    ),
    # Each of 60 nested tuples holds the one before it twice; the last is the key of a dictionary.
    "a key that takes 2^60 steps to hash": lambda _: forged_checkpoint(
        b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
    ),
}
"""Refused by the importer, as unreadable_checkpoint."""
