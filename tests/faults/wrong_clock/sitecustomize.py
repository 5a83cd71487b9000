"""Read by any interpreter that has this folder in its PYTHONPATH, beside libfaketime.

Where libfaketime leaves the monotonic clock alone, as it must, it breaks clock_nanosleep, which is Python's sleep.
"""

import select
import time


def sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = sleep
