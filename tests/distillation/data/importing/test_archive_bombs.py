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

from tests.distillation.data.builders import ARCHIVES, RefusalOf, split_folders, tar_of, zip_of

ALWAYS_ALLOWED_BYTES = "core.distillation.data.importing.archive.limits.ALWAYS_ALLOWED_BYTES"


def in_seconds(seconds: float, run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """Processor time, so that other work on the machine does not count."""
    started = time.process_time()
    result = run()
    assert time.process_time() - started < seconds
    return result


def in_megabytes(megabytes: float, run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    tracemalloc.start()
    try:
        result = run()
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()
    return result


def zip_directory(entries: int) -> bytes:
    """A zip's central directory, of empty files."""
    name = b"e/1234"
    fields = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), *[0] * 6)
    return (b"PK\x01\x02" + fields + name) * entries


def zip_with(directory: bytes, before: int) -> bytes:
    """A zip of this directory, and so many bytes before it."""
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(directory), before, 0)
    return b"PK\x03\x04".ljust(before, b"\0") + directory + end


def tar_of_empty_files(entries: int) -> bytes:
    return tarfile.TarInfo("e/1234").tobuf() * entries + bytes(1024)


EMPTY_FILES: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zip_with(zip_directory(100_000), before=6 * 10**6),
    "tar": lambda: tar_of_empty_files(100_000),
    "tar.gz": lambda: gzip.compress(tar_of_empty_files(100_000), 1),
    "tar.xz": lambda: lzma.compress(tar_of_empty_files(100_000), preset=0),
}


@pytest.mark.parametrize("kind", EMPTY_FILES)
def test_a_hundred_thousand_empty_files_are_refused_quickly(
    refusal_of: RefusalOf, kind: str
) -> None:
    upload = EMPTY_FILES[kind]()
    code, message = in_seconds(5, lambda: refusal_of(upload))
    assert (code, "too many entries" in message) == ("too_large", True)


def test_zip_of_a_large_directory_is_refused_before_it_is_read(refusal_of: RefusalOf) -> None:
    upload = zip_with(zip_directory(1_000_000), before=4)
    code, message = in_megabytes(5, lambda: in_seconds(2, lambda: refusal_of(upload)))
    assert (code, "The archive's directory takes" in message) == ("too_large", True)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_bomb_is_refused_while_it_is_unpacked(
    refusal_of: RefusalOf, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ALWAYS_ALLOWED_BYTES, 2**20)
    upload = ARCHIVES[kind]({"a/0.bmp": bytes(50 * 2**20)})
    code, message = in_megabytes(30, lambda: in_seconds(5, lambda: refusal_of(upload)))
    assert (code, "100 times its size" in message) == ("too_large", True)


def test_zip_entries_that_share_their_bytes_count_each(
    refusal_of: RefusalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ALWAYS_ALLOWED_BYTES, 2**20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.bmp", bytes(2**20))
        shared = archive.infolist()[0]
        archive.filelist += [shared] * 500
    assert refusal_of(buffer.getvalue())[0] in ("too_large", "corrupt_archive")


def test_entry_that_declares_gigabytes_is_refused_at_once(refusal_of: RefusalOf) -> None:
    info = tarfile.TarInfo("a/0.bmp")
    info.size = 10**10
    upload = info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    code, message = in_seconds(2, lambda: refusal_of(upload))
    assert (code, '"a/0.bmp" has 10000000000 bytes' in message) == ("too_large", True)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
def test_extended_header_of_gigabytes_is_refused_at_once(
    refusal_of: RefusalOf, kind: bytes
) -> None:
    info = tarfile.TarInfo("x")
    info.type = kind
    info.size = 10**9
    code, _ = in_seconds(2, lambda: refusal_of(info.tobuf() + bytes(2**20)))
    assert code == "corrupt_archive"


def test_extended_headers_without_end_are_refused(refusal_of: RefusalOf) -> None:
    info = tarfile.TarInfo("x")
    info.type = tarfile.XGLTYPE
    assert refusal_of(info.tobuf() * 1000)[0] == "corrupt_archive"


def test_xz_with_a_dictionary_of_gigabytes_is_refused(refusal_of: RefusalOf) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}]
    upload = bytearray(lzma.compress(tar_of(split_folders()), filters=filters))
    # After the filter's id and the length of its properties comes the size of the dictionary.
    size_offset = upload.index(b"\x21\x01", 12) + 2
    upload[size_offset] = 38
    upload[20:24] = struct.pack("<I", zlib.crc32(bytes(upload[12:20])))
    code, message = refusal_of(bytes(upload))
    assert (code, "emory" in message) == ("corrupt_archive", True)


@pytest.mark.parametrize("name", ["/".join("abcdefghijk") + "/0.png", "x" * 1100 + ".png"])
def test_path_too_deep_or_too_long_is_refused(refusal_of: RefusalOf, name: str) -> None:
    code, message = refusal_of(tar_of({name: b"x"}))
    assert code == "too_large"
    assert len(message) < 400


def test_archives_within_archives_are_not_unpacked(refusal_of: RefusalOf) -> None:
    inner = zip_of(split_folders())
    for _ in range(3):
        inner = zip_of({"inner.zip": inner, "inner.tar.gz": tar_of(split_folders(), "gz")})
    assert refusal_of(inner)[0] == "too_few_classes"
