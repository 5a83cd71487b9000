"""Safetensors files that are written piece by piece and mapped."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from core.distillation.data.tensor_file import TensorSpec, map_tensors, write_tensors

SPECS = {"labels": TensorSpec("I64", (3,)), "pixels": TensorSpec("U8", (2, 2))}
CONTENT = np.arange(3).astype("<i8").tobytes() + bytes([1, 2, 3, 4])


def write(path: Path, content: bytes) -> Path:
    with write_tensors(path, SPECS) as file:
        file.write(content)
    return path


def test_file_is_one_of_safetensors(tmp_path: Path) -> None:
    tensors = load_file(write(tmp_path / "f", CONTENT))
    assert tensors["labels"].tolist() == [0, 1, 2]
    assert tensors["pixels"].tolist() == [[1, 2], [3, 4]]
    mapped = map_tensors(tmp_path / "f")
    assert mapped["labels"].tolist() == [0, 1, 2]
    assert mapped["pixels"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""])
def test_wrong_number_of_bytes_leaves_no_file(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=f"{len(content)} bytes were written for tensors of 28"):
        write(tmp_path / "f", content)
    assert list(tmp_path.iterdir()) == []


def test_tensors_of_other_types_are_left_out(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2), "b": torch.ones(2, dtype=torch.uint8)}, tmp_path / "f")
    assert list(map_tensors(tmp_path / "f")) == ["b"]


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [0, 29]},
        {"data_offsets": [-4, 0]},
        {"data_offsets": [4, 0]},
        {"shape": [-2, -2]},
        {"shape": [2**40]},
        {"dtype": "U9"},
    ],
)
def test_header_that_lies_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    entry = {"dtype": "U8", "shape": [28], "data_offsets": [0, 28]} | change
    header = json.dumps({"pixels": entry}).encode()
    path = tmp_path / "f"
    path.write_bytes(len(header).to_bytes(8, "little") + header + CONTENT)
    with pytest.raises(SafetensorError):
        map_tensors(path)


@pytest.mark.parametrize("length", [2**40, 10**9, 0])
def test_header_of_a_wrong_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(length.to_bytes(8, "little") + b"{}" + CONTENT)
    with pytest.raises(SafetensorError):
        map_tensors(path)
