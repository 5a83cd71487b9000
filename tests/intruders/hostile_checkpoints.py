"""Checkpoints that would run something, or fill the memory, where they are opened carelessly. What runs touches the canary."""

import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from core.distillation.models import build
from tests.distillation.models.forging import Forged, forged_checkpoint
from tests.intruders.importing import Build


class Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"echo ran >> {self.canary}",)


class RebuiltAsAnotherType(Payload):
    """As torch pickles a subclass of Tensor: a function to call, a type, its arguments, a state."""

    def __reduce__(self) -> Any:
        return torch._tensor._rebuild_from_type_v2, (
            os.system,
            torch.Tensor,
            super().__reduce__()[1],
            {},
        )


class LoadedFromBytes(Payload):
    """As torch pickles a storage: bytes for another torch.load, of the old format and unrestricted."""

    def __reduce__(self) -> Any:
        inner = io.BytesIO()
        torch.save(Payload(self.canary), inner, _use_new_zipfile_serialization=False)
        return torch.storage._load_from_bytes, (inner.getvalue(),)


def state_dict() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build("small_cnn", 10, width=4).state_dict()


def saved(tree: Any, **settings: Any) -> bytes:
    out = io.BytesIO()
    torch.save(tree, out, **settings)
    return out.getvalue()


def beside_good_weights(payload: Any) -> bytes:
    return saved({"state_dict": state_dict() | {"more": {"deeper": [payload]}}, "epoch": 3})


def instructions(text: str) -> Build:
    """A checkpoint whose table of contents is a hand-written pickle; CANARY stands for the payload's command."""
    return lambda canary: forged_checkpoint(
        b"\x80\x02" + text.replace("CANARY", f"echo ran >> {canary}").encode("latin-1")
    )


def old_tar(canary: Path) -> bytes:
    out, content = io.BytesIO(), pickle.dumps(Payload(canary))
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def torchscript(_: Path) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(
            torch.jit.trace(build("small_cnn", 10, width=4), torch.rand(1, 3, 32, 32)), out
        )
    return out.getvalue()


AT_THE_DOOR: dict[str, Build] = {
    **{
        f"a bare pickle, protocol {number}": lambda canary, number=number: pickle.dumps(
            {"state_dict": Payload(canary)}, number
        )
        for number in range(6)
    },
    "torch.save's format of before 1.6": lambda canary: saved(
        {"state_dict": state_dict(), "more": Payload(canary)}, _use_new_zipfile_serialization=False
    ),
    "a tar of before 0.4": old_tar,
}
"""Refused by their first bytes."""

PICKLES: dict[str, Build] = {
    "a payload deep in a state dict": lambda canary: beside_good_weights(Payload(canary)),
    "a tensor of another type": lambda canary: beside_good_weights(RebuiltAsAnotherType(canary)),
    "bytes for another torch.load": lambda canary: beside_good_weights(LoadedFromBytes(canary)),
    "INST": instructions("(S'CANARY'\nios\nsystem\n."),
    "GLOBAL and BUILD": instructions(
        "ccollections\nOrderedDict\n)Rcos\nsystem\nU\x01xs}U\x04hookcos\nsystem\nsb."
    ),
    "a TorchScript program": torchscript,
}
"""All of them unsafe_checkpoint."""


def header_of(shape: list[int]) -> bytes:
    header = json.dumps(
        {"conv1.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * 10**10]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def with_a_tensor(tensor: Forged) -> bytes:
    return forged_checkpoint({"conv1.weight": tensor})


BOMBS: dict[str, Build] = {
    "10^10 elements in a safetensors header": lambda _: header_of([10**5, 10**5]),
    "10^10 elements of a storage of one": lambda _: with_a_tensor(
        Forged((10**5, 10**5), (10**5, 1), 10**10)
    ),
    "10^10 views of one element": lambda _: with_a_tensor(Forged((10**5, 10**5), (0, 0), 1)),
    "weights deflated 1000 times": lambda _: forged_checkpoint(
        {}, storages={"0": bytes(2 * 10**8)}, compression=zipfile.ZIP_DEFLATED
    ),
    "a key that takes 2^60 steps to hash": lambda _: forged_checkpoint(
        b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
    ),
}
"""All of them unreadable_checkpoint."""
