"""One entry of an archive, whatever its format, and what an archive may cost."""

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

CHUNK = 2**18
MAX_UNPACKED_BYTES = 16 * 2**30
MAX_RATIO = 100
FREE_BYTES = 64 * 2**20
"""A small archive may unfold to so much, whatever its ratio."""


@dataclass(frozen=True)
class Entry:
    """``pieces`` are the file's bytes; they can be read once, before the next entry is asked for."""

    name: str
    kind: Literal["file", "folder", "link", "device"]
    size: int
    pieces: Iterator[bytes]


class Budget:
    """How many bytes an archive may become: a bomb is refused while it unfolds."""

    def __init__(self, archive_bytes: int) -> None:
        self._left = min(MAX_UNPACKED_BYTES, FREE_BYTES + MAX_RATIO * archive_bytes)

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Refused(
                f"The archive unfolds to more than {MAX_RATIO} times its size, or than {MAX_UNPACKED_BYTES // 2**30} GiB.",
                code="too_large",
            )


_DAMAGE = (
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
def damage_refused() -> Iterator[None]:
    """Around reading only: what the readers raise on damaged bytes becomes a refusal; a failing disk stays an OSError."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, EINVAL):
            raise
        raise damaged(str(error) or type(error).__name__) from error


def damaged(reason: str) -> Refused:
    return Refused(
        f"The archive is damaged or cut short: {reason.rstrip('.')}.", code="corrupt_archive"
    )
