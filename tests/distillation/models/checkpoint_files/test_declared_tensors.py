"""What a checkpoint's pickle may declare: sizes that its file can hold, and plain values only."""

import re
from collections import OrderedDict
from typing import Any

import pytest
import torch

from core.distillation.models.checkpoint_files.declared_tensors import (
    DTYPES,
    DeclaredStorage,
    DeclaredTensor,
    declare_tensor,
)
from core.distillation.models.checkpoint_files.pickle_reader import scan_pickle
from core.errors import Refused

STORAGE = DeclaredStorage(torch.float32, 12)


def declare(
    shape: Any = (3, 4), strides: Any = (4, 1), offset: Any = 0, **changes: Any
) -> DeclaredTensor:
    arguments = {"storage": STORAGE, "hooks": {}, **changes}
    return declare_tensor(arguments["storage"], offset, shape, strides, False, arguments["hooks"])


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((3, 4), (4, 1), 0),
        ((4, 3), (1, 4), 0),
        ((11,), (1,), 1),
        ((2,), (11,), 0),
        ((), (), 11),
        ((0, 10**9), (1, 1), 10**9),
        ((1,) * 64, (1,) * 64, 0),
        ((12,), (0,), 0),
    ],
)
def test_views_within_their_storage_are_declared(shape: Any, strides: Any, offset: int) -> None:
    assert declare(shape, strides, offset) == DeclaredTensor(torch.float32, shape)


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "needed"),
    [
        ((13,), (1,), 0, 13),
        ((12,), (1,), 1, 13),
        ((2,), (12,), 0, 13),
        ((3, 4), (4, 2), 0, 15),
        ((), (), 12, 13),
        ((13,), (0,), 0, 13),
        ((10**5, 10**5), (0, 0), 0, 10**10),
    ],
)
def test_views_beyond_their_storage_are_refused(
    shape: Any, strides: Any, offset: int, needed: int
) -> None:
    with pytest.raises(Refused) as caught:
        declare(shape, strides, offset)
    assert (caught.value.code, caught.value.message) == (
        "unreadable_checkpoint",
        f"The checkpoint declares a tensor of {needed:,} stored numbers, but holds only 12 for it.",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (-1, 4)},
        {"strides": (-4, 1)},
        {"offset": -1},
        {"offset": 1.0},
        {"shape": (3.0, 4)},
        {"strides": (4, "1")},
        {"shape": [3, 4]},
        {"strides": [4, 1]},
        {"shape": (3, 4, 1)},
        {"shape": (1,) * 65, "strides": (1,) * 65},
        {"storage": "storage"},
        {"hooks": OrderedDict(a=1)},
        {"hooks": None},
    ],
)
def test_malformed_tensors_are_value_errors(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^$|zip\(\)"):
        declare(**changes)


def test_storage_has_at_most_the_bytes_of_its_entry() -> None:
    assert DeclaredStorage.declare(torch.float32, 3, 12) == DeclaredStorage(torch.float32, 3)
    assert DeclaredStorage.declare(torch.float64, 0, 0).elements == 0
    with pytest.raises(Refused, match="a tensor of 4 stored numbers, but holds only 3 for it"):
        DeclaredStorage.declare(torch.float32, 4, 15)
    with pytest.raises(Refused, match="a tensor of 2 stored numbers, but holds only 1 for it"):
        DeclaredStorage.declare(torch.int64, 2, 15)


@pytest.mark.parametrize("elements", [-1, 1.0, "1", None])
def test_malformed_storages_are_value_errors(elements: Any) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        DeclaredStorage.declare(torch.float32, elements, 100)


def test_every_storage_class_has_its_number_format() -> None:
    assert {name: str(dtype) for name, dtype in DTYPES.items()} == {
        "torch FloatStorage": "torch.float32",
        "torch DoubleStorage": "torch.float64",
        "torch HalfStorage": "torch.float16",
        "torch BFloat16Storage": "torch.bfloat16",
        "torch LongStorage": "torch.int64",
        "torch IntStorage": "torch.int32",
        "torch ShortStorage": "torch.int16",
        "torch CharStorage": "torch.int8",
        "torch ByteStorage": "torch.uint8",
        "torch BoolStorage": "torch.bool",
    }


# -- pickles


STREAMS: dict[str, tuple[bytes, Any]] = {
    "an empty dict": (b"\x80\x02}.", {}),
    "a dict of numbers": (b"\x80\x02}(X\x01\x00\x00\x00aK\x07K\x08Nu.", {"a": 7, 8: None}),
    "a list": (b"\x80\x02](K\x01\x88\x89e.", [1, True, False]),
    "one more item": (b"\x80\x02]K\x05a.", [5]),
    "tuples": (
        b"\x80\x02K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87\x87.",
        ((1,), (1, 2), (1, 2, 3)),
    ),
    "a tuple to its mark": (b"\x80\x02(K\x01K\x02t.", (1, 2)),
    "the memo": (b"\x80\x02]q\x00h\x00\x86.", ([], [])),
    "an ordered dict": (b"\x80\x02ccollections\nOrderedDict\n)R.", {}),
    "a fraction": (b"\x80\x02G?\xe0\x00\x00\x00\x00\x00\x00.", 0.5),
    "an attribute of a dict": (b"\x80\x02}}b.", {}),
}


@pytest.mark.parametrize("name", STREAMS)
def test_plain_values_are_read(name: str) -> None:
    stream, value = STREAMS[name]
    assert scan_pickle(stream, {}) == value


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x02}",
        b"\x80\x02.",
        b"\x80\x02}}.",
        b"\x80\x02K\x01K\x02a.",
        b"\x80\x02K\x01K\x02K\x03s.",
        b"\x80\x02}K\x01b.",
        b"\x80\x02K\x01}b.",
        b"\x80\x02}(K\x01K\x02K\x03u.",
        b"\x80\x02h\x05.",
        b"\x80\x02K\x01)R.",
        b"\x80\x02ccollections\nOrderedDict\n]R.",
        b"\x80\x02ccollections\nOrderedDict\nK\x01R.",
        b"\x80\x02K\x01Q.",
        b"\x80\x02t.",
    ],
)
def test_damaged_streams_are_unreadable(stream: bytes) -> None:
    with pytest.raises(Refused) as caught:
        scan_pickle(stream, {"0": 4})
    assert (caught.value.code, caught.value.message) == (
        "unreadable_checkpoint",
        "The checkpoint's table of contents is damaged.",
    )


@pytest.mark.parametrize(
    "key",
    [b"G?\xe0\x00\x00\x00\x00\x00\x00", b")", b"N", b"]", b"K\x01\x85", b"ctorch\nfloat32\n"],
)
def test_keys_that_are_not_text_are_said_to_be(key: bytes) -> None:
    """A fraction, an empty tuple, None, a list, a tuple, a number format."""
    with pytest.raises(Refused) as caught:
        scan_pickle(b"\x80\x02}" + key + b"K\x01s.", {})
    assert (caught.value.code, caught.value.message) == (
        "unreadable_checkpoint",
        "The checkpoint has a dict whose keys are not text. Save only the weights and upload "
        "those: torch.save(model.state_dict(), path), or safetensors.",
    )


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85R.", "os.system"),
        (b"\x80\x02cbuiltins\nexec\n.", "builtins.exec"),
        (b"\x80\x02ctorch\nload\n.", "torch.load"),
    ],
)
def test_other_names_than_those_of_weights_are_unsafe(stream: bytes, name: str) -> None:
    with pytest.raises(Refused, match=re.escape(f"would use {name!r}")) as caught:
        scan_pickle(stream, {})
    assert caught.value.code == "unsafe_checkpoint"


@pytest.mark.parametrize(
    ("stream", "instruction"),
    [
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "SHORT_BINUNICODE"),
        (b"(ios\nsystem\n.", "INST"),
        (b"\x80\x02)\x81.", "NEWOBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02Pa\n.", "PERSID"),
    ],
)
def test_other_instructions_are_unsafe(stream: bytes, instruction: str) -> None:
    with pytest.raises(Refused, match=f"the pickle instruction {instruction}") as caught:
        scan_pickle(stream, {})
    assert caught.value.code == "unsafe_checkpoint"


STORAGE_STREAM = (
    b"\x80\x02(X\x07\x00\x00\x00%bctorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%bt%b."
)


def test_storage_is_declared_by_its_class_and_size() -> None:
    stream = STORAGE_STREAM % (b"storage", b"\x02", b"Q")
    assert scan_pickle(stream, {"0": 8}) == DeclaredStorage(torch.float32, 2)
    with pytest.raises(Refused, match="a tensor of 2 stored numbers, but holds only 1 for it"):
        scan_pickle(stream, {"0": 7})


@pytest.mark.parametrize("kind", [b"Storage", b"modules"])
def test_other_persistent_values_are_unreadable(kind: bytes) -> None:
    with pytest.raises(Refused, match="table of contents is damaged"):
        scan_pickle(STORAGE_STREAM % (kind, b"\x02", b"Q"), {"0": 8})
    with pytest.raises(Refused, match="table of contents is damaged"):
        scan_pickle(STORAGE_STREAM % (b"storage", b"\x02", b"Q"), {"1": 8})
