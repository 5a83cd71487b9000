"""The formats of uploads, by their first bytes."""

import contextlib
import io
import pickle
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.jobspec.file_signature import detect_archive_format, detect_checkpoint_format


def safetensors_of(header_length: int) -> bytes:
    return header_length.to_bytes(8, "little") + b'{"weight":'


def tar_bytes() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"), io.BytesIO())
    return out.getvalue()[:512]


def refusal_code(detect_format: Callable[[bytes], str], first_bytes: bytes) -> str:
    with pytest.raises(Refused) as error:
        detect_format(first_bytes)
    assert error.value.message.endswith(".")
    return error.value.code


def test_zip_is_a_pytorch_checkpoint() -> None:
    assert detect_checkpoint_format(b"PK\x03\x04" + bytes(508)) == "pytorch"


@pytest.mark.parametrize("header_length", [2, 100, 1000, 100 * 10**6])
def test_length_and_brace_are_safetensors(header_length: int) -> None:
    assert detect_checkpoint_format(safetensors_of(header_length)) == "safetensors"


@pytest.mark.parametrize("header_length", [0x80, 0x280, 0x0480])
def test_safetensors_may_begin_with_a_pickles_first_byte(
    header_length: int,
) -> None:
    """The header's length may begin with 0x80."""
    assert safetensors_of(header_length)[0] == 0x80
    assert detect_checkpoint_format(safetensors_of(header_length)) == "safetensors"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bare_pickle_is_unsafe(protocol: int) -> None:
    data = pickle.dumps({"weight": [1.0] * 100}, protocol)
    assert refusal_code(detect_checkpoint_format, data[:512]) == "unsafe_checkpoint"
    assert refusal_code(detect_archive_format, data[:512]) == "unsafe_dataset"


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_with_imports_is_unsafe_in_every_protocol(protocol: int) -> None:
    data = pickle.dumps({"state": io.BytesIO}, protocol)
    assert refusal_code(detect_checkpoint_format, data[:512]) == "unsafe_checkpoint"
    assert refusal_code(detect_archive_format, data[:512]) == "unsafe_dataset"


def test_checkpoint_of_torch_save_before_1_6_is_unsafe() -> None:
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    assert refusal_code(detect_checkpoint_format, magic) == "unsafe_checkpoint"


def test_tar_checkpoint_is_unsafe() -> None:
    assert refusal_code(detect_checkpoint_format, tar_bytes()) == "unsafe_checkpoint"


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"",
        b"P",
        b"PK",
        b"\x80",
        b"{",
        bytes(512),
        b"\x1f\x8b\x08",
        b"GGUF" + bytes(100),
        safetensors_of(100 * 10**6 + 1),
        b"<html>",
    ],
)
def test_anything_else_is_no_checkpoint(first_bytes: bytes) -> None:
    assert refusal_code(detect_checkpoint_format, first_bytes) == "unknown_format"


@pytest.mark.parametrize(
    ("first_bytes", "name"),
    [
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x8b\x08\x00", "tar.gz"),
        (b"\xfd7zXZ\x00", "tar.xz"),
        (b"BZh91AY", "tar.bz2"),
        (tar_bytes(), "tar"),
    ],
)
def test_archives_are_detected_by_their_first_bytes(first_bytes: bytes, name: str) -> None:
    assert detect_archive_format(first_bytes) == name


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"",
        b"PK",
        b"\x1f",
        bytes(512),
        tar_bytes()[:261],
        b"Rar!\x1a\x07",
        b"7z\xbc\xaf",
        b"\x89PNG",
    ],
)
def test_anything_else_is_no_archive(first_bytes: bytes) -> None:
    assert refusal_code(detect_archive_format, first_bytes) == "unknown_format"


NPY = b"\x93NUMPY\x01\0v\0{'descr': '|u1', 'fortran_order': False, 'shape': (3, 8, 8), }"
WORDS = [
    b"cat\ndog\n",
    b"cat\ndog\npear\nRat\n" * 100,
    "chat\nchi\u00e9n\r\n".encode(),
    b"ibis\nant",
]


@pytest.mark.parametrize("first_bytes", [NPY, *WORDS, b"PK\x05\x06" + bytes(18)])
def test_arrays_and_lists_of_words_are_no_pickles(first_bytes: bytes) -> None:
    assert refusal_code(detect_archive_format, first_bytes[:512]) == "unknown_format"
    assert refusal_code(detect_checkpoint_format, first_bytes[:512]) == "unknown_format"


@pytest.mark.parametrize(
    "first_bytes",
    [b"cos\nsystem\n(S'ls'\ntR.", b"cos\nsystem\n.", b"(ios\nsystem\n", b"cos\nsystem\np0\n"],
)
def test_imports_in_plain_text_are_unsafe(first_bytes: bytes) -> None:
    assert refusal_code(detect_archive_format, first_bytes) == "unsafe_dataset"
    assert refusal_code(detect_checkpoint_format, first_bytes) == "unsafe_checkpoint"


@pytest.mark.parametrize(
    ("first_bytes", "archive_sentence", "checkpoint_sentence"),
    [
        (
            NPY,
            "The file is a single array of NumPy (.npy), and a data set needs images and labels: "
            "save both as the arrays image and label of one .npz, with numpy.savez.",
            "The file begins with the signature of an array of NumPy (.npy): neither safetensors "
            "nor a checkpoint of torch.save.",
        ),
        (
            b"PK\x05\x06" + bytes(18),
            "The zip archive is empty; it must have a folder of images for each class.",
            "The file begins with the end of a zip archive (it is empty): neither safetensors nor "
            "a checkpoint of torch.save.",
        ),
    ],
)
def test_arrays_and_empty_zips_are_called_by_name(
    first_bytes: bytes, archive_sentence: str, checkpoint_sentence: str
) -> None:
    with pytest.raises(Refused) as caught:
        detect_archive_format(first_bytes)
    assert caught.value.message == archive_sentence
    with pytest.raises(Refused) as caught:
        detect_checkpoint_format(first_bytes)
    assert caught.value.message == checkpoint_sentence


@given(st.binary(max_size=600))
def test_any_bytes_have_a_format_or_are_refused(first_bytes: bytes) -> None:
    detectors: list[Callable[[bytes], str]] = [detect_checkpoint_format, detect_archive_format]
    for detect_format in detectors:
        with contextlib.suppress(Refused):
            assert detect_format(first_bytes)
