"""Reads a zip archive as a stream of entries."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from core.distillation.data.importing.archive.entry import (
    CHUNK_BYTES,
    Entry,
    EntryKind,
    corrupt_archive,
    refuse_corruption,
)
from core.distillation.data.importing.archive.limits import DecompressionBudget
from core.errors import Refused

UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075
EXTRA_HEAD_BYTES = 4
END = b"PK\x05\x06"
END64 = b"PK\x06\x06"
END_BYTES = 22
END64_BYTES = 56
LOCATOR64_BYTES = 20
MAX_COMMENT_BYTES = 2**16
SMALL_DIRECTORY_BYTES = 4 * 2**20
MAX_DIRECTORY_BYTES = 2**29


def read_zip_entries(file: BinaryIO, budget: DecompressionBudget) -> Iterator[Entry]:
    """Yield the entries in the order of the archive's central directory."""
    _check_directory_size(file)
    with refuse_corruption():
        archive = zipfile.ZipFile(file)
    for info in archive.infolist():
        name = _utf8_name(info)
        yield Entry(
            name or info.filename,
            _kind(info),
            info.file_size,
            _chunks(archive, info, budget),
            has_guessed_name=name is None,
        )


def _utf8_name(info: zipfile.ZipInfo) -> str | None:
    """Return the name where it is in UTF-8, whether or not the archive says so; else None.

    macOS and others write UTF-8 without its flag (bit 11), and zipfile then decodes code page 437,
    in which every byte is a character. Info-ZIP repeats the name in UTF-8 in an extra field.
    """
    if info.flag_bits & UTF8_FLAG:
        return info.filename
    try:
        # From Python 3.12 on, filename may be the extra field's already; this is as it is stored.
        stored = info.orig_filename.encode("cp437")
        return _unicode_path(info, stored) or stored.decode().partition("\0")[0]
    except UnicodeError:
        return None


def _unicode_path(info: zipfile.ZipInfo, stored_name: bytes) -> str | None:
    """Return the name of the extra field "Info-ZIP Unicode Path", if it is that of this entry.

    APPNOTE.TXT 4.6.9: version 1, CRC-32 of the stored name, name.
    https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    extra = info.extra
    while len(extra) >= EXTRA_HEAD_BYTES:
        field_id, length = struct.unpack("<HH", extra[:EXTRA_HEAD_BYTES])
        data = extra[EXTRA_HEAD_BYTES : EXTRA_HEAD_BYTES + length]
        extra = extra[EXTRA_HEAD_BYTES + length :]
        is_valid = data[:1] == b"\x01" and data[1:5] == struct.pack("<I", zlib.crc32(stored_name))
        if field_id == UNICODE_PATH and is_valid:
            return data[5:].decode().partition("\0")[0] or None
    return None


def _chunks(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: DecompressionBudget
) -> Iterator[bytes]:
    if info.file_size == 0:
        return
    if info.flag_bits & 1:
        raise Refused(
            "The archive is encrypted; create it without a password.", code="unknown_format"
        )
    # Python decompresses only these in bounded steps: the others would ignore the budget.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(
            f"The archive's compression (method {info.compress_type}) is not supported; "
            "use deflate.",
            code="unknown_format",
        )
    with refuse_corruption():
        member = archive.open(info)
    remaining = info.file_size
    while remaining:
        with refuse_corruption():
            chunk = member.read(min(CHUNK_BYTES, remaining))
        if not chunk:
            raise corrupt_archive("an entry is shorter than the archive's directory says")
        remaining -= len(chunk)
        budget.spend(len(chunk))
        yield chunk


def _kind(info: zipfile.ZipInfo) -> EntryKind:
    file_type = stat.S_IFMT(info.external_attr >> 16)
    if info.filename.endswith("/") or file_type == stat.S_IFDIR:
        return "folder"
    if file_type in (0, stat.S_IFREG):
        return "file"
    return "link" if file_type == stat.S_IFLNK else "device"


def _check_directory_size(file: BinaryIO) -> None:
    """Refuse an archive that consists of little but its directory, such as a million empty files.

    zipfile holds the directory in memory, at ten times its size. Every name stands in it and once
    more before the entry's data, so the directory of an archive with data is less than half of it.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - MAX_COMMENT_BYTES - END_BYTES - LOCATOR64_BYTES - END64_BYTES))
    tail = file.read()
    file.seek(0)
    end = tail.rfind(END)
    directory_bytes = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    locator = max(0, end - LOCATOR64_BYTES)
    end64 = tail[max(0, end - LOCATOR64_BYTES - END64_BYTES) : locator]
    if end64.startswith(END64):
        directory_bytes = int.from_bytes(end64[40:48], "little")
    allowed_bytes = max(SMALL_DIRECTORY_BYTES, min(MAX_DIRECTORY_BYTES, size // 2))
    if directory_bytes > allowed_bytes:
        raise Refused(
            f"The archive's directory takes {directory_bytes} of its {size} bytes; at most "
            f"{allowed_bytes} are possible.",
            code="too_large",
        )
