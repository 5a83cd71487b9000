"""Safetensors files: which headers are read, and which are refused with what reason."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.distillation.models.checkpoint_files.declared_tensors import DeclaredTensor
from core.distillation.models.checkpoint_files.formats import open_checkpoint
from core.distillation.models.checkpoint_files.safetensors_file import (
    MAX_HEADER_BYTES,
    SafetensorsFile,
)
from core.errors import Refused


def forged(path: Path, header: dict[str, Any], data: bytes = b"", *, padding: int = 0) -> Path:
    text = json.dumps(header).encode() + b" " * padding
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def reason(path: Path) -> str:
    with pytest.raises(Refused) as caught:
        open_checkpoint(path)
    assert caught.value.code == "unreadable_checkpoint"
    assert caught.value.message.startswith("The safetensors file cannot be read: ")
    return caught.value.message.removeprefix("The safetensors file cannot be read: ")


@pytest.mark.parametrize("name", ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8"])
def test_numbers_of_known_kinds_are_declared_and_read(name: str, tmp_path: Path) -> None:
    dtypes = {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
    }
    save_file({"a": torch.tensor([[1, 2, 3]], dtype=dtypes[name])}, tmp_path / "upload")
    file = SafetensorsFile(tmp_path / "upload")
    assert file.state_dicts["."].tensors == {"a": DeclaredTensor(dtypes[name], (1, 3))}
    assert file.read(".")["a"].tolist() == [[1, 2, 3]]


def test_truth_values_are_declared_and_read(tmp_path: Path) -> None:
    save_file({"a": torch.tensor([True, False])}, tmp_path / "upload")
    file = SafetensorsFile(tmp_path / "upload")
    assert file.state_dicts["."].tensors == {"a": DeclaredTensor(torch.bool, (2,))}


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "U16", "U32", "U64"])
def test_numbers_of_other_kinds_are_refused_by_name(dtype: str, tmp_path: Path) -> None:
    size = {"F8": 1, "U1": 2, "U3": 4, "U6": 8}[dtype[:2]]
    path = forged(tmp_path / "upload", {"a": entry(dtype, [1], 0, size)}, bytes(size))
    assert reason(path) == f"it holds numbers of the unknown kind '{dtype}'."


def test_kinds_that_the_library_does_not_know_are_refused(tmp_path: Path) -> None:
    path = forged(tmp_path / "upload", {"a": entry("F31", [1], 0, 4)}, bytes(4))
    assert reason(path).startswith("the library reports ")


def test_header_of_eight_mebibytes_is_the_largest(tmp_path: Path) -> None:
    header = {"a": entry("F32", [1], 0, 4)}
    padding = 8 * 2**20 - len(json.dumps(header))
    assert MAX_HEADER_BYTES == 8 * 2**20
    path = forged(tmp_path / "upload", header, bytes(4), padding=padding)
    assert SafetensorsFile(path).read(".")["a"].tolist() == [0]
    path = forged(tmp_path / "upload", header, bytes(4), padding=padding + 1)
    assert reason(path) == "its header has 8,388,609 bytes, at most 8,388,608 are read."


@pytest.mark.parametrize(
    ("entries", "data"),
    [
        ({"a": entry("F32", [2], 0, 8)}, bytes(4)),
        ({"a": entry("F32", [1], 0, 4)}, bytes(8)),
        ({"a": entry("F32", [2], 0, 4)}, bytes(4)),
        ({"a": entry("F32", [-1], 0, 4)}, bytes(4)),
        ({"a": entry("F32", [1], -4, 0)}, bytes(4)),
        ({"a": entry("F32", [1], 4, 0)}, bytes(4)),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, bytes(4)),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, bytes(12)),
        ({"a": entry("F32", [2**62, 2**62], 0, 4)}, bytes(4)),
        ({"a": {"dtype": "F32"}}, bytes(4)),
    ],
)
def test_headers_that_do_not_match_the_file_are_refused(
    entries: dict[str, Any], data: bytes, tmp_path: Path
) -> None:
    assert reason(forged(tmp_path / "upload", entries, data)).startswith("the library reports ")


def test_a_file_without_tensors_has_no_state_dict(tmp_path: Path) -> None:
    assert SafetensorsFile(forged(tmp_path / "upload", {})).state_dicts == {}


def test_a_file_that_changes_after_its_inspection_is_refused(tmp_path: Path) -> None:
    path = forged(tmp_path / "upload", {"a": entry("F32", [1], 0, 4)}, bytes(4))
    file = SafetensorsFile(path)
    path.write_bytes(b"x" * 40)
    with pytest.raises(Refused) as caught:
        file.read(".")
    assert caught.value.code == "unreadable_checkpoint"


@pytest.mark.parametrize(("more", "is_safetensors"), [(0, True), (1, False), (2**40, False)])
def test_header_longer_than_the_file_is_no_safetensors(
    more: int, is_safetensors: bool, tmp_path: Path
) -> None:
    text = json.dumps({"__metadata__": {"a": "b"}}).encode()
    (tmp_path / "upload").write_bytes(struct.pack("<Q", len(text) + more) + text)
    if is_safetensors:
        assert open_checkpoint(tmp_path / "upload").state_dicts == {}
    else:
        with pytest.raises(Refused, match="neither safetensors nor torch.save's"):
            open_checkpoint(tmp_path / "upload")
