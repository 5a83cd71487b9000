"""Hostile and damaged checkpoints are refused, without running them or allocating memory."""

import io
import json
import os
import pickle
import random
import struct
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as to_safetensors

from core.distillation.models.importers import load
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.errors import Refused
from tests.distillation.models.forging import Forged

MAX_GROWTH_BYTES = 100 * 2**20
MAX_ADDRESS_SPACE_BYTES = 2**30
MAX_SECONDS = 5


class Payload:
    """Writes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"echo ran > {self.canary}",)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def refusal(path: Path, network: Classifier) -> Refused:
    """Return the error of an import."""
    with pytest.raises(Refused) as caught:
        load(network, path)
    return caught.value


# -- pickles that would run something


def test_the_payload_works_where_it_is_unpickled(canary: Path) -> None:
    pickle.loads(pickle.dumps(Payload(canary)))
    assert canary.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_with_a_payload_is_refused_and_nothing_runs(
    protocol: int, canary: Path, tmp_path: Path, small: SmallCnn
) -> None:
    (tmp_path / "upload").write_bytes(pickle.dumps({"state_dict": Payload(canary)}, protocol))
    assert refusal(tmp_path / "upload", small).code == "unsafe_checkpoint"
    assert not canary.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_payload_beside_good_weights_is_refused_and_does_not_run(
    protocol: int, canary: Path, save: Callable[..., Path], small: SmallCnn
) -> None:
    with warnings.catch_warnings(action="ignore"):
        path = save(
            {"state_dict": small.state_dict(), "extra": Payload(canary)}, pickle_protocol=protocol
        )
    assert refusal(path, small).code == "unsafe_checkpoint"
    assert not canary.exists()


def test_checkpoint_before_torch_1_6_is_refused_and_does_not_run(
    canary: Path, save: Callable[..., Path], small: SmallCnn
) -> None:
    path = save(
        {"state_dict": small.state_dict(), "extra": Payload(canary)},
        _use_new_zipfile_serialization=False,
    )
    error = refusal(path, small)
    assert error.code == "unsafe_checkpoint"
    assert "torch.save(model.state_dict(), path)" in error.message
    assert not canary.exists()


def test_a_legacy_tar_is_refused_and_nothing_runs(
    canary: Path, tmp_path: Path, small: SmallCnn
) -> None:
    content = pickle.dumps(Payload(canary))
    with tarfile.open(tmp_path / "upload", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    assert refusal(tmp_path / "upload", small).code == "unsafe_checkpoint"
    assert not canary.exists()


def test_a_torchscript_archive_is_refused(tmp_path: Path, small: SmallCnn) -> None:
    with warnings.catch_warnings(action="ignore"):
        program = torch.jit.trace(small, torch.rand(1, 3, 32, 32))  # type: ignore[no-untyped-call]
        torch.jit.save(program, tmp_path / "upload")
    error = refusal(tmp_path / "upload", small)
    assert error.code == "unsafe_checkpoint"
    assert "TorchScript" in error.message


@pytest.mark.parametrize("kind", ["pickle", "torch.save"])
def test_pickle_named_safetensors_is_refused(
    kind: str, canary: Path, tmp_path: Path, save: Callable[..., Path], small: SmallCnn
) -> None:
    path = tmp_path / "weights.safetensors"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload(canary)))
    else:
        torch.save(small.state_dict(), tmp_path / "upload")
        (tmp_path / "upload").rename(path)
    assert refusal(path, small).code == "unsafe_checkpoint"
    assert not canary.exists()


def test_a_whole_network_is_refused_with_advice(save: Callable[..., Path], small: SmallCnn) -> None:
    error = refusal(save(small), small)
    assert error.code == "unsafe_checkpoint"
    assert "core.distillation.models.small_cnn.SmallCnn" in error.message
    assert "torch.save(model.state_dict(), path)" in error.message


GLOBALS = [
    "os system",
    "builtins eval",
    "builtins bytearray",
    "torch FloatTensor",
    "builtins set",
    "collections Counter",
    "torch.nn.modules.linear Linear",
    "subprocess Popen",
    "torch.hub load",
    "\x1b[31m x",
    "x" * 5000 + " y",
]


@pytest.mark.parametrize("name", GLOBALS)
def test_globals_that_weights_do_not_need_are_not_looked_up(
    name: str, forge: Callable[..., Path], small: SmallCnn
) -> None:
    module, attribute = name.split(" ")
    error = refusal(forge(f"\x80\x02c{module}\n{attribute}\n(I1\nI2\ntR.".encode("latin-1")), small)
    assert error.code == "unsafe_checkpoint"
    assert len(error.message) < 500
    assert error.message.isprintable()


# -- bombs


def tuples_within_tuples() -> bytes:
    """A dict's key that takes 2^60 steps to hash."""
    return b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."


def deep_nest() -> bytes:
    """A dict's key whose hashing needs more stack than there is."""
    return b"\x80\x02})" + b"\x85" * 500_000 + b"K\x01s."


def false_header(path: Path) -> Path:
    """A safetensors file whose header declares 40 GB."""
    entry = {"dtype": "F32", "shape": [10**5, 10**5], "data_offsets": [0, 4 * 10**10]}
    header = json.dumps({"conv1.weight": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    return path


def many_entries(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(20_000):
            archive.writestr(f"archive/{index:0200}", b"")
    return path


def overlapping_entries(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10**5))
        for index in range(1, 1000):
            again = copy(archive.getinfo("archive/data/0"))
            again.filename = f"archive/data/{index}"
            archive.filelist.append(again)
    return path


BOMBS: dict[str, Callable[..., Path]] = {
    "10^10 elements in 4 bytes": lambda path, forge: forge(
        {"conv1.weight": Forged((10**5, 10**5), (10**5, 1), 10**10)}
    ),
    "10^10 views of one element": lambda path, forge: forge(
        {"conv1.weight": Forged((10**5, 10**5), (0, 0), 1)}
    ),
    "10^18 elements, none stored": lambda path, forge: forge(
        {"conv1.weight": Forged((10**9, 10**9), (10**9, 1), 10**18, "7")}
    ),
    "a view past its storage": lambda path, forge: forge(
        {"conv1.weight": Forged((1,), (1,), 1, offset=1)}
    ),
    "a negative stride": lambda path, forge: forge({"conv1.weight": Forged((2,), (-1,), 1)}),
    "deflated 1000 times": lambda path, forge: forge(
        {}, storages={"0": bytes(2 * 10**8)}, compression=zipfile.ZIP_DEFLATED
    ),
    "10^10 bytes of bytearray": lambda path, forge: forge(
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xe4\x0bT\x02\x85R."
    ),
    "a long table of contents": lambda path, forge: forge(b"\x80\x02" + b"}" * 2**21 + b"."),
    "a table of contents of 10^6 dicts": lambda path, forge: forge(
        b"\x80\x02(" + b"}" * (2**20 - 10) + b"t."
    ),
    "tuples within tuples": lambda path, forge: forge(tuples_within_tuples()),
    "a deep nest": lambda path, forge: forge(deep_nest()),
    "many entries": lambda path, forge: many_entries(path),
    "overlapping entries": lambda path, forge: overlapping_entries(path),
    "a false safetensors header": lambda path, forge: false_header(path),
}


def memory() -> dict[str, int]:
    """Return this process's memory in bytes.

    VmRSS is resident, VmHWM its peak since the last reset, VmPeak the peak of the address space.
    """
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: 1024 * int(lines[name].split()[0]) for name in ("VmRSS", "VmHWM", "VmPeak")}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_at_once_and_with_little_memory(
    bomb: str, tmp_path: Path, forge: Callable[..., Path], small: SmallCnn
) -> None:
    path = BOMBS[bomb](tmp_path / "upload", forge)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory()
    start_seconds = time.process_time()
    error = refusal(path, small)
    after = memory()
    assert error.code in ("unreadable_checkpoint", "unsafe_checkpoint")
    assert time.process_time() - start_seconds < MAX_SECONDS
    assert after["VmHWM"] - before["VmRSS"] < MAX_GROWTH_BYTES
    assert after["VmPeak"] - before["VmPeak"] < MAX_ADDRESS_SPACE_BYTES


def test_message_of_a_small_bomb_names_its_size(
    tmp_path: Path, forge: Callable[..., Path], small: SmallCnn
) -> None:
    path = forge({"conv1.weight": Forged((10**5, 10**5), (10**5, 1), 10**10)})
    assert path.stat().st_size < 1500
    assert (
        "a tensor of 10,000,000,000 stored numbers, but holds only 1 for it."
        in refusal(path, small).message
    )


def test_a_checkpoint_that_contains_itself_ends(save: Callable[..., Path], small: SmallCnn) -> None:
    tree: dict[str, Any] = {}
    tree["state_dict"] = tree
    assert refusal(save(tree), small).code == "unreadable_checkpoint"


@pytest.mark.parametrize("key", ["x" * 300, "a\0b", "line\nbreak", "\ud800"])
def test_keys_that_could_harm_a_report_are_refused(
    key: str, save: Callable[..., Path], small: SmallCnn
) -> None:
    error = refusal(save({**small.state_dict(), f"{key}.mean": torch.zeros(1)}), small)
    assert error.code == "unreadable_checkpoint"
    assert error.message.isprintable()


@pytest.mark.parametrize("key", ["_" * 20_000, "._" * 10_000, "a_" * 10_000, "mean_" * 4_000])
def test_long_names_beside_weights_are_no_constants(
    key: str, save: Callable[..., Path], small: SmallCnn
) -> None:
    """The time to tell grows with their length, not with its square."""
    path = save({"state_dict": small.state_dict(), "x": {key: 1}, "y": {key: [1.0, 2.0, 3.0]}})
    assert load(small, path).dropped == []


# -- damage


def checkpoint(kind: str, network: Classifier) -> bytes:
    if kind == "safetensors":
        return to_safetensors(network.state_dict())
    stream = io.BytesIO()
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["safetensors", "torch.save"])
def test_a_file_cut_anywhere_is_refused(kind: str, tmp_path: Path, small: SmallCnn) -> None:
    content = checkpoint(kind, small)
    path = tmp_path / "upload"
    cuts = {*range(0, 300), *range(0, len(content), 37), *range(len(content) - 200, len(content))}
    for cut in sorted(cuts):
        path.write_bytes(content[:cut])
        assert refusal(path, small).code == "unreadable_checkpoint", cut


@pytest.mark.parametrize("kind", ["safetensors", "torch.save"])
@pytest.mark.parametrize("tail", [b"\0", b"more", bytes(1000)])
def test_a_file_with_something_added_is_refused(
    kind: str, tail: bytes, tmp_path: Path, small: SmallCnn
) -> None:
    (tmp_path / "upload").write_bytes(checkpoint(kind, small) + tail)
    assert refusal(tmp_path / "upload", small).code == "unreadable_checkpoint"


def test_flipped_bit_in_a_torch_checkpoint_is_detected(tmp_path: Path, small: SmallCnn) -> None:
    """The checksum of a weight's bytes in the zip does not match."""
    content = bytearray(checkpoint("torch.save", small))
    position = content.find(small.conv3.weight.detach().numpy().tobytes()) + 5
    content[position] ^= 1
    (tmp_path / "upload").write_bytes(content)
    assert "not those that were saved" in refusal(tmp_path / "upload", small).message


def flipped(content: bytes, draw: random.Random, start: int, stop: int) -> bytes:
    """Return the content with up to eight random bytes between start and stop."""
    damaged = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        damaged[draw.randrange(start, stop)] = draw.randrange(256)
    return bytes(damaged)


def import_message(path: Path, network: Classifier) -> str:
    """Return the message of a refusal, or "loaded".

    Any other exception than Refused passes through and fails the test.
    """
    try:
        load(network, path)
    except Refused as error:
        return error.message
    return "loaded"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["safetensors", "torch.save"])
def test_flipped_bytes_at_either_end_load_or_are_refused(
    kind: str, seed: int, tmp_path: Path, small: SmallCnn
) -> None:
    content = checkpoint(kind, small)
    draw = random.Random(seed)
    path = tmp_path / "upload"
    for start in [0, len(content) - 2500] * 100:
        path.write_bytes(flipped(content, draw, start, start + 2500))
        assert import_message(path, small).isprintable()


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_in_a_pickle_load_or_are_refused(
    seed: int, tmp_path: Path, forge: Callable[..., Path], small: SmallCnn
) -> None:
    """The pickle is damaged and its checksum is made to match."""
    with zipfile.ZipFile(io.BytesIO(checkpoint("torch.save", small))) as archive:
        stream = archive.read("archive/data.pkl")
        storages = {
            name.rsplit("/")[-1]: archive.read(name)
            for name in archive.namelist()
            if "/data/" in name
        }
    assert import_message(forge(stream, storages=storages), small) == "loaded"
    draw = random.Random(seed)
    for _ in range(200):
        path = forge(flipped(stream, draw, 0, len(stream)), storages=storages)
        assert import_message(path, small).isprintable()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"PK", b"PK\x03\x04", b"hello", b"<html></html>", bytes(5000), b"\xff" * 5000],
)
def test_other_files_are_unreadable(content: bytes, tmp_path: Path, small: SmallCnn) -> None:
    (tmp_path / "upload").write_bytes(content)
    assert refusal(tmp_path / "upload", small).code == "unreadable_checkpoint"


def test_a_zip_of_something_else_is_unreadable(tmp_path: Path, small: SmallCnn) -> None:
    with zipfile.ZipFile(tmp_path / "upload", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert refusal(tmp_path / "upload", small).code == "unreadable_checkpoint"


def test_two_entries_of_one_name_are_refused(tmp_path: Path, small: SmallCnn) -> None:
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(tmp_path / "upload", "w") as archive,
    ):
        for content in (b"\x80\x02}.", b"\x80\x02N."):
            archive.writestr("archive/data.pkl", content)
    assert "the same name" in refusal(tmp_path / "upload", small).message
