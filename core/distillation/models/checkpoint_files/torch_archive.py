"""Checkpoints that torch.save writes: a zip of one pickle and the storages it speaks of, all uncompressed."""

import os
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files.declared_tensors import DeclaredTensor
from core.distillation.models.checkpoint_files.pickle_reader import ADVICE, scan_pickle
from core.errors import Refused

T = TypeVar("T")
WRAPPERS = ("state_dict", "model_state_dict", "net", "model")
"""Names under which training scripts keep the state dict beside optimizer, epoch and the like."""
MOST_BYTES_OF_PICKLE = 2**20
MOST_BYTES_OF_DIRECTORY = 4 * 2**20
END = struct.Struct("<4s36xQ8x 4s4xQ4x 4s8xL4xH")
"""The last bytes of a zip: its 64-bit end record (signature, bytes of directory), the pointer to it (signature, position),
and its end record (signature, bytes of directory, bytes of comment). Small zips may have the last alone."""


class TorchArchive:
    """A checkpoint that was looked through: what it declares is there, and reading it runs nothing."""

    def __init__(self, path: Path) -> None:
        """Raises Refused: unsafe_checkpoint or unreadable_checkpoint."""
        self.path = path
        described = find_state_dict(_described(path))
        self.declared = _of_type(described, DeclaredTensor)
        self.others = sorted(str(key) for key in described if key not in self.declared)
        """Keys beside the tensors, with values of other kinds."""

    def read(self) -> dict[str, Tensor]:
        """The tensors by key; their memory is the file's until they are touched. Raises Refused (unreadable_checkpoint)."""
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            raise _unreadable("PyTorch cannot read it") from error
        tensors = _of_type(find_state_dict(tree), Tensor)
        if {
            key: DeclaredTensor(tensor.dtype, tuple(tensor.shape)) for key, tensor in tensors.items()
        } != self.declared:
            raise _unreadable("PyTorch reads other tensors from it than it declares")
        return tensors


def find_state_dict(tree: Any) -> dict[Any, Any]:
    """The state dict inside what a training script saved; empty where there is none."""
    seen: set[int] = set()
    while isinstance(tree, dict) and id(tree) not in seen:
        seen.add(id(tree))
        tree = next((tree[name] for name in WRAPPERS if isinstance(tree.get(name), dict)), tree)
    return tree if isinstance(tree, dict) else {}


def _of_type(tree: dict[Any, Any], kind: type[T]) -> dict[str, T]:
    return {
        key: value
        for key, value in tree.items()
        if isinstance(key, str) and isinstance(value, kind)
    }


def _described(path: Path) -> Any:
    """The archive's content with a Declared for each tensor."""
    _check_directory_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            root = _root(entries)
            _check_entries(archive.infolist(), path.stat().st_size)
            pickle = archive.read(f"{root}/data.pkl")
            damaged = archive.testzip()
    except Refused:
        raise
    except Exception as error:
        raise _unreadable("its zip directory is damaged") from error
    if damaged is not None:
        raise _unreadable("the bytes of a tensor are not those that were saved")
    folder = f"{root}/data/"
    return scan_pickle(
        pickle,
        {
            name.removeprefix(folder): entry.file_size
            for name, entry in entries.items()
            if name.startswith(folder)
        },
    )


def _check_directory_size(path: Path) -> None:
    """Before the directory is read: a file can list millions of empty entries. Raises Refused."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END.size))
        tail = file.read().rjust(END.size, b"\0")
    signature_64, bytes_64, pointer_signature, position_64, signature, bytes_32, comment_bytes = (
        END.unpack(tail)
    )
    # A comment, or a second record elsewhere, would let two readers of one file find two directories in it.
    if signature != b"PK\x05\x06" or comment_bytes:
        raise _unreadable("it is cut short, or something was added to it")
    large = pointer_signature == b"PK\x06\x07"
    if large and (signature_64 != b"PK\x06\x06" or position_64 != size - END.size):
        raise _unreadable("its zip directory is damaged")
    if max(bytes_32, bytes_64 if large else 0) > MOST_BYTES_OF_DIRECTORY:
        raise _unreadable("it lists more entries than weights need")


def _check_entries(entries: list[zipfile.ZipInfo], file_bytes: int) -> None:
    """Raises Refused where the entries are not what torch.save writes: distinct, uncompressed, not larger than the file."""
    if len({entry.filename for entry in entries}) < len(entries):
        raise _unreadable("two of its entries have one name")
    if any(
        entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size
        for entry in entries
    ):
        raise _unreadable("its entries are compressed, which torch.save never does")
    if sum(entry.file_size for entry in entries) > file_bytes:
        raise _unreadable("its entries are larger than the file")


def _root(entries: dict[str, zipfile.ZipInfo]) -> str:
    """The one folder that everything is in. Raises Refused where this is not a checkpoint of weights."""
    roots = {name.split("/")[0] for name in entries}
    root = next(iter(roots), "")
    if f"{root}/constants.pkl" in entries or any(
        name.startswith(f"{root}/code/") for name in entries
    ):
        raise Refused(
            f"This is a TorchScript program, not weights. {ADVICE}", code="unsafe_checkpoint"
        )
    if len(roots) != 1 or f"{root}/data.pkl" not in entries:
        raise _unreadable("it is a zip file that torch.save did not write")
    if entries[f"{root}/data.pkl"].file_size > MOST_BYTES_OF_PICKLE:
        raise _unreadable("its table of contents is larger than weights need")
    return root


def _unreadable(reason: str) -> Refused:
    return Refused(f"The checkpoint cannot be read: {reason}.", code="unreadable_checkpoint")
