"""Commands that run the service itself: this process is replaced by the service's own program."""

import importlib.util
import os
import sys
from typing import NoReturn

from distill_client.errors import ClientError


def exec_service(module: str, *arguments: str) -> NoReturn:
    """Replace this process with ``python -m module``, run by the same interpreter.

    Raises ClientError if the service is not installed beside this client.
    """
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise ClientError(
            f"This command runs the service itself, which is not installed in {sys.prefix}. "
            "Install it with `pip install '.[trainer]'` in a checkout of distill-service."
        )
    # -P: a folder that happens to be named like the module must not be run instead.
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606
