"""Loaded by every interpreter that has this folder in its PYTHONPATH, beside libfaketime.

libfaketime must leave the monotonic clock alone here. It then breaks clock_nanosleep, which
Python's sleep uses; this module replaces it by select.
"""

import select
import time


def sleep(seconds: float, /) -> None:
    select.select([], [], [], seconds)


time.sleep = sleep  # type: ignore[assignment]
