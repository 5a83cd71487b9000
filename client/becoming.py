"""Commands of the machine that the service runs on: this process becomes them."""

import os
import sys
from typing import NoReturn


def become(module: str, *arguments: str) -> NoReturn:
    """``python -m module``, with the same interpreter."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606
