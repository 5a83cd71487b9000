"""Zip archives of torch.save: which are read, and which are refused with what reason."""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation.models.checkpoint_files.declared_tensors import DeclaredTensor
from core.distillation.models.checkpoint_files.formats import open_checkpoint
from core.distillation.models.checkpoint_files.torch_archive import TorchArchive
from core.errors import Refused
from tests.distillation.models.forging import Forged, forged_checkpoint

EMPTY_DICT = b"\x80\x02}."
Entries = dict[str, bytes]


def archive(path: Path, entries: Entries, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def reason(path: Path, code: str = "unreadable_checkpoint") -> str:
    with pytest.raises(Refused) as caught:
        open_checkpoint(path)
    assert caught.value.code == code
    return caught.value.message.removeprefix("The checkpoint cannot be read: ")


def test_tensors_are_declared_and_then_read(save: Callable[..., Path]) -> None:
    weight = torch.rand(2, 3)
    weights = {"a.weight": weight, "a.bias": torch.tensor([1, 2]), "epoch": 3}
    file = TorchArchive(save({"net": weights, "lr": 0.1}))
    assert list(file.state_dicts) == ["net"]
    assert file.state_dicts["net"].tensors == {
        "a.weight": DeclaredTensor(torch.float32, (2, 3)),
        "a.bias": DeclaredTensor(torch.int64, (2,)),
    }
    assert file.state_dicts["net"].other_keys == ["epoch"]
    assert torch.equal(file.read("net")["a.weight"], weight)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "it is a zip file that torch.save did not write."),
        ({"readme.txt": b""}, "it is a zip file that torch.save did not write."),
        ({"a/data.txt": EMPTY_DICT}, "it is a zip file that torch.save did not write."),
        (
            {"a/data.pkl": EMPTY_DICT, "b/data.pkl": EMPTY_DICT},
            "it is a zip file that torch.save did not write.",
        ),
        (
            {"a/data.pkl": EMPTY_DICT, "readme.txt": b""},
            "it is a zip file that torch.save did not write.",
        ),
        (
            {"a/data.pkl": b"\x80\x02" + b"}" * (2**20 - 2) + b"."},
            "its table of contents is larger than weights need.",
        ),
    ],
)
def test_other_archives_are_unreadable(entries: Entries, message: str, tmp_path: Path) -> None:
    assert reason(archive(tmp_path / "upload", entries)) == message


def test_table_of_contents_of_one_mebibyte_is_read(tmp_path: Path) -> None:
    stream = b"\x80\x02" + b"}" * (2**20 - 3) + b"."
    path = archive(tmp_path / "upload", {"a/data.pkl": stream})
    assert reason(path) == "The checkpoint's table of contents is damaged."


@pytest.mark.parametrize("name", ["constants.pkl", "code/a.py"])
def test_torchscript_is_unsafe(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "upload", {"a/data.pkl": EMPTY_DICT, f"a/{name}": b""})
    assert "a TorchScript program, not weights" in reason(path, "unsafe_checkpoint")


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    entries = {"a/data.pkl": EMPTY_DICT, "a/data/0": bytes(100)}
    path = archive(tmp_path / "upload", entries, zipfile.ZIP_DEFLATED)
    assert reason(path) == "its entries are compressed, which torch.save never does."


def test_stored_entries_with_two_sizes_are_refused(tmp_path: Path) -> None:
    """An entry that says that it is stored, and has more bytes unpacked than packed."""
    with zipfile.ZipFile(tmp_path / "upload", "w") as file:
        file.writestr("a/data.pkl", EMPTY_DICT)
        file.writestr("a/data/0", bytes(8))
        file.getinfo("a/data/0").file_size = 9
    assert reason(tmp_path / "upload") == "its entries are compressed, which torch.save never does."


def test_entries_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    """Two names for the same bytes."""
    with zipfile.ZipFile(tmp_path / "upload", "w") as file:
        file.writestr("a/data.pkl", EMPTY_DICT)
        file.writestr("a/data/0", bytes(10_000))
        again = copy(file.getinfo("a/data/0"))
        again.filename = "a/data/1"
        file.filelist.append(again)
    assert reason(tmp_path / "upload") == "its entries are larger than the file."


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(tmp_path / "upload", "w") as file,
    ):
        file.writestr("a/data.pkl", EMPTY_DICT)
        file.writestr("a/data.pkl", EMPTY_DICT)
    assert reason(tmp_path / "upload") == "two of its entries have the same name."


def test_damaged_bytes_are_noticed(save: Callable[..., Path]) -> None:
    path = save({"weight": torch.full((64,), 0.123)})
    content = bytearray(path.read_bytes())
    content[content.find(struct.pack("<f", 0.123)) + 40] ^= 1
    path.write_bytes(content)
    assert reason(path) == "the bytes of a tensor are not those that were saved."


def test_a_damaged_directory_is_noticed(save: Callable[..., Path]) -> None:
    path = save({"weight": torch.zeros(4)})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\x01\x02", b"PK\x01\x03", 1))
    assert reason(path) == "its zip directory is damaged."


@pytest.mark.parametrize("tail", [b"x", b"PK\x05\x06", bytes(22)])
def test_appended_bytes_are_noticed(tail: bytes, save: Callable[..., Path]) -> None:
    path = save({"weight": torch.zeros(4)})
    path.write_bytes(path.read_bytes() + tail)
    assert reason(path) == "it is truncated, or something was appended to it."


def test_a_comment_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "upload", "w") as file:
        file.writestr("a/data.pkl", EMPTY_DICT)
        # The last 22 bytes are an end record that claims a comment behind itself.
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 1)
        file.comment = end
    assert reason(tmp_path / "upload") == "it is truncated, or something was appended to it."


@pytest.mark.parametrize(("position", "change"), [(0, 1), (8, 1)])
def test_another_64_bit_record_is_refused(
    position: int, change: int, save: Callable[..., Path]
) -> None:
    """The pointer to the 64-bit end record has its signature at 0, the record's position at 8.

    The record's own signature is 56 bytes before the pointer.
    """
    path = save({"weight": torch.zeros(4)})
    content = bytearray(path.read_bytes())
    pointer = content.rfind(b"PK\x06\x07")
    assert pointer == len(content) - 42
    content[(pointer - 56) if position == 0 else pointer + position] ^= change
    path.write_bytes(content)
    assert reason(path) == "its zip directory is damaged."


@pytest.mark.parametrize("bits", [32, 64])
def test_a_directory_of_more_than_4_mebibytes_is_refused(
    bits: int, save: Callable[..., Path]
) -> None:
    """Before it is read: the file need not have it."""
    path = save({"weight": torch.zeros(4)})
    content = bytearray(path.read_bytes())
    end = len(content) - 22
    if bits == 32:
        content[end + 12 : end + 16] = struct.pack("<L", 4 * 2**20 + 1)
    else:
        content[end - 36 : end - 28] = struct.pack("<Q", 4 * 2**20 + 1)
    path.write_bytes(content)
    assert reason(path) == "it lists more entries than weights need."


def test_a_zip_without_64_bit_records_is_read(tmp_path: Path) -> None:
    stream = io.BytesIO(forged_checkpoint({"weight": Forged((1,), (1,), 1)}))
    (tmp_path / "upload").write_bytes(stream.getvalue())
    assert b"PK\x06\x06" not in stream.getvalue()
    tensors = open_checkpoint(tmp_path / "upload").state_dicts["."].tensors
    assert tensors == {"weight": DeclaredTensor(torch.float32, (1,))}


def test_other_tensors_than_declared_are_refused(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = TorchArchive(save({"weight": torch.zeros(4)}))
    for tree in ({"weight": torch.zeros(5)}, {"weight": torch.zeros(4).half()}, {}, [1]):
        monkeypatch.setattr(torch, "load", lambda *_, tree=tree, **__: tree)
        with pytest.raises(Refused, match="PyTorch reads other tensors from it than it declares"):
            file.read(".")


def test_a_file_that_pytorch_refuses_is_unreadable(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **settings: Any) -> None:
        assert settings["weights_only"] is True
        raise RuntimeError

    file = TorchArchive(save({"weight": torch.zeros(4)}))
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(Refused, match="PyTorch cannot read it"):
        file.read(".")
