"""One entry of an archive, whatever its format, and the limits of unpacking."""

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
MAX_UNPACKED_BYTES = 16 * 2**30
MAX_RATIO = 100
ALWAYS_ALLOWED_BYTES = 64 * 2**20
"""An archive may always unpack to this size, whatever its ratio."""

EntryKind = Literal["file", "folder", "link", "device"]


@dataclass(frozen=True)
class Entry:
    """``chunks`` are the file's bytes. They can be read once, before the next entry."""

    name: str
    kind: EntryKind
    size: int
    chunks: Iterator[bytes]


class DecompressionBudget:
    """The bytes an archive may unpack to. A bomb is refused while it is being unpacked."""

    def __init__(self, archive_bytes: int) -> None:
        self._remaining = min(MAX_UNPACKED_BYTES, ALWAYS_ALLOWED_BYTES + MAX_RATIO * archive_bytes)

    def spend(self, count: int) -> None:
        """Raises Refused (too_large) where more than the budget is spent."""
        self._remaining -= count
        if self._remaining < 0:
            raise Refused(
                f"The archive unpacks to more than {MAX_RATIO} times its size, or to more than "
                f"{MAX_UNPACKED_BYTES // 2**30} GiB; an archive of images does neither.",
                code="too_large",
            )


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
