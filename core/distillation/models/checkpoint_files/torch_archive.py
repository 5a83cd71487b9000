"""Checkpoints that torch.save writes: a zip of one pickle and its storages, all uncompressed."""

import os
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files.pickle_reader import ADVICE, scan_pickle
from core.distillation.models.checkpoint_files.state_dicts import (
    MAX_STATE_DICTS,
    declare,
    find_constants,
    find_state_dicts,
    tensors_of,
    to_tensor,
)
from core.errors import Refused

MAX_PICKLE_BYTES = 2**20
MAX_DIRECTORY_BYTES = 4 * 2**20
END_RECORDS = struct.Struct("<4s36xQ8x 4s4xQ4x 4s8xL4xH")
"""The last bytes of a zip: its 64-bit end record (signature, bytes of directory), the pointer to it
(signature, position), and its end record (signature, bytes of directory, bytes of comment). Small
zips may have the last one alone."""


class TorchArchive:
    """A checkpoint that holds what it declares, and that can be read without running code."""

    def __init__(self, path: Path) -> None:
        """Raise Refused: unsafe_checkpoint or unreadable_checkpoint."""
        self.path = path
        tree = _scan(path)
        constants = find_constants(tree)
        state_dicts = find_state_dicts(tree)
        self.has_more = len(state_dicts) > MAX_STATE_DICTS
        self.state_dicts = {
            name: declare(state_dict, constants)
            for name, state_dict in list(state_dicts.items())[:MAX_STATE_DICTS]
        }

    def read(self, name: str) -> dict[str, Tensor]:
        """Return a state dict's tensors by key, memory-mapped.

        Raises Refused (unreadable_checkpoint).
        """
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            raise _unreadable("PyTorch cannot read it") from error
        state_dict = find_state_dicts(tree).get(name, {})
        constants = find_constants(tree)
        if declare(state_dict, constants) != self.state_dicts[name]:
            raise _unreadable("PyTorch reads other tensors from it than it declares")
        tensors = tensors_of(state_dict, constants)
        return {key: to_tensor(value) for key, value in tensors.items()}


def _scan(path: Path) -> Any:
    """Return the archive's content with a DeclaredTensor for each tensor."""
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
    storages = {
        name.removeprefix(folder): entry.file_size
        for name, entry in entries.items()
        if name.startswith(folder)
    }
    return scan_pickle(pickle, storages)


def _check_directory_size(path: Path) -> None:
    """Raise Refused where the zip directory is too large, or there is not exactly one.

    It is called before the directory is read: a file can list millions of empty entries.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END_RECORDS.size))
        tail = file.read().rjust(END_RECORDS.size, b"\0")
    signature_64, bytes_64, pointer_signature, position_64, signature, bytes_32, comment_bytes = (
        END_RECORDS.unpack(tail)
    )
    # With a comment, or a second record elsewhere, two readers of one file could see two
    # directories in it.
    if signature != b"PK\x05\x06" or comment_bytes:
        raise _unreadable("it is truncated, or something was appended to it")
    is_zip64 = pointer_signature == b"PK\x06\x07"
    if is_zip64 and (signature_64 != b"PK\x06\x06" or position_64 != size - END_RECORDS.size):
        raise _unreadable("its zip directory is damaged")
    if max(bytes_32, bytes_64 if is_zip64 else 0) > MAX_DIRECTORY_BYTES:
        raise _unreadable("it lists more entries than weights need")


def _check_entries(entries: list[zipfile.ZipInfo], file_bytes: int) -> None:
    """Raise Refused where the entries are not what torch.save writes.

    They have to be distinct, uncompressed, and together not larger than the file.
    """
    if len({entry.filename for entry in entries}) < len(entries):
        raise _unreadable("two of its entries have the same name")
    if any(
        entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size
        for entry in entries
    ):
        raise _unreadable("its entries are compressed, which torch.save never does")
    if sum(entry.file_size for entry in entries) > file_bytes:
        raise _unreadable("its entries are larger than the file")


def _root(entries: dict[str, zipfile.ZipInfo]) -> str:
    """Return the one folder that all entries are in.

    Raises Refused where this is not a checkpoint of weights.
    """
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
    if entries[f"{root}/data.pkl"].file_size > MAX_PICKLE_BYTES:
        raise _unreadable("its table of contents is larger than weights need")
    return root


def _unreadable(reason: str) -> Refused:
    return Refused(f"The checkpoint cannot be read: {reason}.", code="unreadable_checkpoint")
