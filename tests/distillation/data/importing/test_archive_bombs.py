import gzip
import io
import lzma
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import pytest

from tests.distillation.data.building import ARCHIVES, split_classes, tar_of, zip_of

Refusal = Callable[[bytes], tuple[str, str]]


def in_seconds(seconds: float, run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    began = time.monotonic()
    result = run()
    assert time.monotonic() - began < seconds
    return result


def in_megabytes(megabytes: float, run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    tracemalloc.start()
    try:
        result = run()
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()
    return result


def table_of(entries: int) -> bytes:
    name = b"e/1234"
    return (
        b"PK\x01\x02"
        + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), *[0] * 6)
        + name
    ) * entries


def zip_with(table: bytes, before: int) -> bytes:
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(table), before, 0)
    return b"PK\x03\x04".ljust(before, b"\0") + table + end


EMPTY_ENTRIES = {
    "zip": lambda: zip_with(table_of(100_000), before=6 * 10**6),
    "tar": lambda: tarfile.TarInfo("e/1234").tobuf() * 100_000 + bytes(1024),
    "tar.gz": lambda: gzip.compress(tarfile.TarInfo("e/1234").tobuf() * 100_000 + bytes(1024), 1),
    "tar.xz": lambda: lzma.compress(
        tarfile.TarInfo("e/1234").tobuf() * 100_000 + bytes(1024), preset=0
    ),
}


@pytest.mark.parametrize("kind", EMPTY_ENTRIES)
def test_a_hundred_thousand_empty_entries_are_refused_quickly(refused: Refusal, kind: str):
    upload = EMPTY_ENTRIES[kind]()
    code, message = in_seconds(5, lambda: refused(upload))
    assert (code, "too many entries" in message) == ("too_large", True)


def test_a_zip_that_is_one_great_table_of_contents_is_refused_before_it_is_read(refused: Refusal):
    upload = zip_with(table_of(1_000_000), before=4)
    code, message = in_megabytes(5, lambda: in_seconds(2, lambda: refused(upload)))
    assert (code, "table of contents" in message) == ("too_large", True)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_bomb_is_refused_while_it_unfolds(
    refused: Refusal, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.distillation.data.importing.archive.entry.FREE_BYTES", 2**20)
    upload = ARCHIVES[kind]({"a/0.bmp": bytes(50 * 2**20)})
    code, message = in_megabytes(30, lambda: in_seconds(5, lambda: refused(upload)))
    assert (code, "100 times its size" in message) == ("too_large", True)


def test_entries_of_a_zip_that_share_their_bytes_are_counted_each(
    refused: Refusal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.distillation.data.importing.archive.entry.FREE_BYTES", 2**20)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.bmp", bytes(2**20))
        shared = archive.infolist()[0]
        archive.filelist += [shared] * 500
    assert refused(out.getvalue())[0] in ("too_large", "corrupt_archive")


def test_an_entry_that_declares_gigabytes_is_refused_at_once(refused: Refusal):
    info = tarfile.TarInfo("a/0.bmp")
    info.size = 10**10
    code, message = in_seconds(2, lambda: refused(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    assert (code, '"a/0.bmp" has 10000000000 bytes' in message) == ("too_large", True)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
def test_an_extended_header_of_gigabytes_is_refused_at_once(refused: Refusal, kind: bytes):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 10**9
    code, _ = in_seconds(2, lambda: refused(info.tobuf() + bytes(2**20)))
    assert code == "corrupt_archive"


def test_extended_headers_without_end_are_refused(refused: Refusal):
    info = tarfile.TarInfo("x")
    info.type = tarfile.XGLTYPE
    assert refused(info.tobuf() * 1000)[0] == "corrupt_archive"


def test_an_xz_stream_that_wants_gigabytes_of_dictionary_is_refused(refused: Refusal):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}]
    upload = bytearray(lzma.compress(tar_of(split_classes()), filters=filters))
    at = (
        upload.index(b"\x21\x01", 12) + 2
    )  # the filter's id and the length of its properties: the dictionary's size
    upload[at] = 38
    upload[20:24] = struct.pack("<I", zlib.crc32(bytes(upload[12:20])))
    code, message = refused(bytes(upload))
    assert (code, "emory" in message) == ("corrupt_archive", True)


@pytest.mark.parametrize("name", ["/".join("abcdefghijk") + "/0.png", "x" * 1100 + ".png"])
def test_paths_too_deep_or_too_long_are_refused(refused: Refusal, name: str):
    code, message = refused(tar_of({name: b"x"}))
    assert code == "too_large"
    assert len(message) < 400


def test_archives_within_archives_stay_closed(refused: Refusal):
    inner = zip_of(split_classes())
    for _ in range(3):
        inner = zip_of({"inner.zip": inner, "inner.tar.gz": tar_of(split_classes(), "gz")})
    assert refused(inner)[0] == "too_few_classes"
