"""Entries of a zip: what is read, and what is refused."""

import io
import struct
import zipfile
import zlib

import pytest

from core.distillation.data.importing.archive import limits, zip
from core.distillation.data.importing.archive.limits import DecompressionBudget
from core.distillation.data.importing.archive.zip import read_zip_entries
from core.errors import Refused
from tests.distillation.data.builders import zip_of


def read(data: bytes) -> dict[str, bytes]:
    budget = DecompressionBudget(len(data))
    return {
        entry.name: b"".join(entry.chunks) for entry in read_zip_entries(io.BytesIO(data), budget)
    }


def refusal(data: bytes) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        read(data)
    return caught.value.code, caught.value.message


def with_declared_size(data: bytes, size: int) -> bytes:
    """Change the size that the central directory declares for the only entry."""
    start = data.index(b"PK\x01\x02") + 24
    return data[:start] + struct.pack("<I", size) + data[start + 4 :]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [0, 1, 2**18 - 1, 2**18, 2**18 + 1])
def test_files_are_read_in_chunks(compression: int, size: int) -> None:
    content = bytes(range(256)) * 1100
    assert read(zip_of({"a": content[:size]}, compression)) == {"a": content[:size]}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_entry_smaller_than_declared_is_refused(compression: int) -> None:
    data = with_declared_size(zip_of({"a": b"x" * 500}, compression), 501)
    code, message = refusal(data)
    assert code == "corrupt_archive"
    assert message.startswith("The archive is damaged or incomplete: ")


def test_entry_larger_than_declared_is_refused() -> None:
    """Its checksum is that of all of its bytes."""
    assert refusal(with_declared_size(zip_of({"a": b"x" * 500}), 499))[0] == "corrupt_archive"


def test_entry_larger_than_the_file_is_refused() -> None:
    data = zip_of({"a": b"x" * 500}, zipfile.ZIP_STORED)
    start = data.index(b"PK\x01\x02") + 20
    data = data[:start] + struct.pack("<II", 10**9, 10**9) + data[start + 8 :]
    assert refusal(data)[0] == "corrupt_archive"


def test_bytes_count_against_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip_of({"a": b"x" * 500, "b": b"y" * 300})
    monkeypatch.setattr(limits, "MAX_RATIO", 0)
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED_BYTES", 800)
    assert len(read(data)) == 2
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED_BYTES", 799)
    assert refusal(data)[0] == "too_large"


def test_directory_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one always passes, a larger one up to half of the file, and none beyond a maximum."""
    data = zip_of({f"{number}": b"x" * 200 for number in range(10)}, zipfile.ZIP_STORED)
    end = data.rindex(b"PK\x05\x06")
    directory_bytes = struct.unpack("<I", data[end + 12 : end + 16])[0]
    assert directory_bytes < len(data) // 2
    monkeypatch.setattr(zip, "SMALL_DIRECTORY_BYTES", 0)
    assert len(read(data)) == 10
    monkeypatch.setattr(zip, "MAX_DIRECTORY_BYTES", directory_bytes - 1)
    code, message = refusal(data)
    assert (code, f"takes {directory_bytes} of its {len(data)} bytes" in message) == (
        "too_large",
        True,
    )
    monkeypatch.setattr(zip, "SMALL_DIRECTORY_BYTES", directory_bytes)
    assert len(read(data)) == 10
    empty = zip_of({f"{number}": b"" for number in range(10)})
    monkeypatch.setattr(zip, "MAX_DIRECTORY_BYTES", 2**29)
    monkeypatch.setattr(zip, "SMALL_DIRECTORY_BYTES", 0)
    assert refusal(empty)[0] == "too_large"


def test_directory_of_a_zip64_has_the_same_limit() -> None:
    data = zip_of({"a": b"x"})
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 2**40, 10)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(data) - 22, 1)
    code, message = refusal(data[:-22] + end64 + locator + data[-22:])
    assert (code, f"takes {2**40} of its" in message) == ("too_large", True)


@pytest.mark.parametrize(
    ("stored", "name", "is_guessed"),
    [
        ("__/0.png", "\u732b/0.png", False),
        ("M\xf6we/0.png", "M\xf6we/0.png", True),
        ("\u732b/0.png", "\u732b/0.png", True),
    ],
)
def test_name_is_judged_as_it_is_stored(
    monkeypatch: pytest.MonkeyPatch, stored: str, name: str, is_guessed: bool
) -> None:
    """From Python 3.12 on, zipfile puts the name of the extra field in place of the stored one."""
    info = zipfile.ZipInfo(stored)
    info.filename = name
    if not is_guessed:
        field = struct.pack("<BI", 1, zlib.crc32(stored.encode("cp437"))) + name.encode()
        info.extra = struct.pack("<HH", 0x7075, len(field)) + field
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda archive: [info])
    entries = list(read_zip_entries(io.BytesIO(zip_of({"a": b"x"})), DecompressionBudget(0)))
    assert [(entry.name, entry.has_guessed_name) for entry in entries] == [(name, is_guessed)]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (0o100644, "file"),
        (0, "file"),
        (0o040755, "folder"),
        (0o120777, "link"),
        (0o010644, "device"),
    ],
)
def test_kind_of_an_entry_is_that_of_its_mode(mode: int, kind: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.external_attr = mode << 16
        archive.writestr(info, b"x")
    entries = read_zip_entries(buffer, DecompressionBudget(0))
    assert [entry.kind for entry in entries] == [kind]
