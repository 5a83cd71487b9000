"""A zip archive as a stream of entries."""

import stat
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, Literal

from core.distillation.data.importing.archive.entry import (
    CHUNK,
    Budget,
    Entry,
    damage_refused,
    damaged,
)
from core.errors import Refused

END, END64 = b"PK\x05\x06", b"PK\x06\x06"
END_BYTES, END64_BYTES, LOCATOR64_BYTES = 22, 56, 20
MAX_COMMENT_BYTES = 2**16
SMALL_TABLE_BYTES = 4 * 2**20
LARGE_TABLE_BYTES = 2**29


def entries(file: BinaryIO, budget: Budget) -> Iterator[Entry]:
    _refuse_a_mere_table(file)
    with damage_refused():
        archive = zipfile.ZipFile(file)
    for info in archive.infolist():
        yield Entry(info.filename, _kind(info), info.file_size, _pieces(archive, info, budget))


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    if info.file_size == 0:
        return
    if info.flag_bits & 1:
        raise Refused(
            "The archive is encrypted; send it without a password.", code="unknown_format"
        )
    if info.compress_type not in (
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
    ):  # only these unfold in bounded steps
        raise Refused(
            f"The archive is compressed in a way that is not read (method {info.compress_type}); use deflate.",
            code="unknown_format",
        )
    with damage_refused():
        member = archive.open(info)
    left = info.file_size
    while left:
        with damage_refused():
            piece = member.read(min(CHUNK, left))
        if not piece:
            raise damaged("an entry is shorter than the archive says")
        left -= len(piece)
        budget.spend(len(piece))
        yield piece


def _kind(info: zipfile.ZipInfo) -> Literal["file", "folder", "link", "device"]:
    form = stat.S_IFMT(info.external_attr >> 16)
    if info.filename.endswith("/") or form == stat.S_IFDIR:
        return "folder"
    if form in (0, stat.S_IFREG):
        return "file"
    return "link" if form == stat.S_IFLNK else "device"


def _refuse_a_mere_table(file: BinaryIO) -> None:
    """zipfile holds the table of contents in memory, at ten times its size: not for an archive of a million empty entries.

    Every name stands in the table and once more before its data, so the table of an archive with data is less than half of it.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - MAX_COMMENT_BYTES - END_BYTES - LOCATOR64_BYTES - END64_BYTES))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(END)
    table_bytes = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    end64 = tail[max(0, at - LOCATOR64_BYTES - END64_BYTES) : max(0, at - LOCATOR64_BYTES)]
    if end64.startswith(END64):
        table_bytes = int.from_bytes(end64[40:48], "little")
    if table_bytes > max(SMALL_TABLE_BYTES, min(LARGE_TABLE_BYTES, size // 2)):
        raise Refused(
            f"The archive is a table of contents and little else ({table_bytes} of its {size} bytes).",
            code="too_large",
        )
