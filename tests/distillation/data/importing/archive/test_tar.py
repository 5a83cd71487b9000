"""Entries of a tar: what is read, to the byte, and what is refused."""

import gzip
import io
import tarfile

import pytest

from core.distillation.data.importing.archive import limits, tar
from core.distillation.data.importing.archive.limits import DecompressionBudget
from core.distillation.data.importing.archive.tar import read_tar_entries
from core.errors import Refused
from core.jobspec.file_signature import ArchiveFormat

END = bytes(1024)


def header(name: str = "a", size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.type = kind
    return info.tobuf(tarfile.GNU_FORMAT)


def block(data: bytes) -> bytes:
    """Data and zeros up to a whole number of blocks."""
    return data + bytes(-len(data) % 512)


def pax(**records: str) -> bytes:
    """An extended header for the next entry."""
    data = b""
    for key, value in records.items():
        text = f" {key}={value}\n".encode()
        length = len(text) + 1
        length += (
            len(str(length)) - 1 + (len(str(length + len(str(length)) - 1)) > len(str(length)))
        )
        data += f"{length}".encode() + text
    return raw_pax(data)


def raw_pax(data: bytes) -> bytes:
    return header("x", len(data), tarfile.XHDTYPE) + block(data)


def entries(data: bytes, archive_format: ArchiveFormat = "tar") -> list[tuple[str, str, bytes]]:
    budget = DecompressionBudget(len(data))
    return [
        (entry.name, entry.kind, b"".join(entry.chunks))
        for entry in read_tar_entries(io.BytesIO(data), archive_format, budget)
    ]


def refusal(data: bytes, archive_format: ArchiveFormat = "tar") -> str:
    with pytest.raises(Refused) as caught:
        entries(data, archive_format)
    assert caught.value.code == "corrupt_archive"
    return caught.value.message


def with_size_field(head: bytes, field: bytes) -> bytes:
    """Replace the size in a header, which is at byte 124, and its checksum, at byte 148."""
    changed = head[:124] + field + head[136:148] + b" " * 8 + head[156:]
    return changed[:148] + b"%06o\0 " % sum(changed) + changed[156:]


def test_entries_have_their_names_kinds_and_bytes() -> None:
    data = header("a", 3) + block(b"one") + header("b/", kind=tarfile.DIRTYPE)
    data += header("c", 512) + block(b"x" * 512) + header("d") + END
    assert entries(data) == [
        ("a", "file", b"one"),
        ("b", "folder", b""),
        ("c", "file", b"x" * 512),
        ("d", "file", b""),
    ]


def test_entries_that_are_not_read_are_skipped() -> None:
    data = header("a", 600) + block(b"x" * 600) + header("b", 3) + block(b"two") + END
    budget = DecompressionBudget(len(data))
    names = [entry.name for entry in read_tar_entries(io.BytesIO(data), "tar", budget)]
    assert names == ["a", "b"]


def test_negative_size_is_refused() -> None:
    """In base 256, as GNU's tar writes large sizes, and in an extended header."""
    sentence = "an entry has a negative size"
    assert sentence in refusal(with_size_field(header(), b"\xff" * 12) + END)
    assert sentence in refusal(pax(size="-1") + header() + END)


def test_negative_size_of_an_extended_header_is_refused() -> None:
    data = with_size_field(header("x", 0, tarfile.XHDTYPE), b"\xff" * 12) + header() + END
    assert "an extended header has -1 bytes" in refusal(data)


def test_extended_header_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    record = pax(comment="x" * 100)
    size = tarfile.TarInfo.frombuf(record[:512], "utf-8", "strict").size
    monkeypatch.setattr(tar, "MAX_EXTENSION_BYTES", size)
    assert len(entries(record + header() + END)) == 1
    monkeypatch.setattr(tar, "MAX_EXTENSION_BYTES", size - 1)
    assert f"has {size} bytes, more than {size - 1}" in refusal(record + header() + END)


def test_extended_headers_in_a_row_have_a_limit() -> None:
    """Sixteen before each entry, however many entries there are."""
    record = pax(comment="x")
    assert len(entries((record * 16 + header()) * 3 + END)) == 3
    assert "more than 16 extended headers" in refusal(record * 17 + header() + END)


def test_extended_header_is_for_the_next_entry_alone() -> None:
    data = pax(path="long", size="3") + header("short", 0) + block(b"one") + header("b") + END
    assert entries(data) == [("long", "file", b"one"), ("b", "file", b"")]


@pytest.mark.parametrize(
    "record",
    [
        b"3 path=a\n",
        b"99 path=a\n",
        b"0 path=a\n",
        b"-9 path=a\n",
        b"x path=a\n",
        b"path=a\n",
        b"9",
    ],
)
def test_record_of_a_wrong_length_is_refused(record: bytes) -> None:
    refusal(raw_pax(record) + header() + END)


@pytest.mark.parametrize("size", ["x", "", "1e3", "9" * 5000])
def test_size_that_is_no_number_is_refused(size: str) -> None:
    refusal(pax(size=size) + header() + END)


def test_sparse_files_are_no_files() -> None:
    assert entries(pax(**{"GNU.sparse.major": "1"}) + header("a", 0) + END)[0][1] == "device"


@pytest.mark.parametrize("length", [600, 1024, 1500])
def test_entry_larger_than_the_file_is_refused(length: int) -> None:
    data = header("a", 2000) + b"x" * 2000
    assert "ends in the middle of an entry" in refusal(data[:length])


def test_checksum_behind_the_last_entry_is_read() -> None:
    data = bytearray(gzip.compress(header("a", 3) + block(b"one") + END + bytes(10_000)))
    assert entries(bytes(data), "tar.gz") == [("a", "file", b"one")]
    data[-8] ^= 1
    refusal(bytes(data), "tar.gz")


def test_all_bytes_count_against_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of headers, too: four blocks of 512 bytes, and the two blocks of the end."""
    monkeypatch.setattr(limits, "MAX_RATIO", 0)
    data = header("a", 600) + block(b"x" * 600) + END
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED_BYTES", len(data))
    assert len(entries(data)) == 1
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED_BYTES", len(data) - 1)
    with pytest.raises(Refused) as caught:
        entries(data)
    assert caught.value.code == "too_large"
