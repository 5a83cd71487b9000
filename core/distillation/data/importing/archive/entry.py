"""One entry of an archive, whatever its format, and refusals of damaged archives."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL
from typing import Literal

from core.errors import Refused

CHUNK_BYTES = 2**18

EntryKind = Literal["file", "folder", "link", "device"]


@dataclass(frozen=True)
class Entry:
    """``chunks`` are the file's bytes. They can be read once, before the next entry."""

    name: str
    kind: EntryKind
    size: int
    chunks: Iterator[bytes]
    has_guessed_name: bool = False
    """Whether the name is not ASCII, and the archive does not say in which encoding it is."""


_CORRUPTION_ERRORS = (
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def refuse_corruption() -> Iterator[None]:
    """Turn what readers raise for damaged bytes into Refused (corrupt_archive).

    For reading only. The OSError of a failing disk, which has an errno, is raised unchanged.
    """
    try:
        yield
    except _CORRUPTION_ERRORS as error:
        if isinstance(error, OSError) and error.errno not in (None, EINVAL):
            raise
        raise corrupt_archive(str(error) or type(error).__name__) from error


def corrupt_archive(reason: str) -> Refused:
    return Refused(
        f"The archive is damaged or incomplete: {reason.rstrip('.')}.", code="corrupt_archive"
    )
