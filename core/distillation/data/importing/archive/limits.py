"""How much an archive may unpack to: decompression bombs are refused."""

from core.errors import Refused

MAX_UNPACKED_BYTES = 16 * 2**30
MAX_RATIO = 100
ALWAYS_ALLOWED_BYTES = 64 * 2**20
"""An archive may always unpack to this size, whatever its ratio."""


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
