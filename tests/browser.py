"""A real Chromium for tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Run Chromium for as long as the context is open.

    A fixture that uses it is at most of scope ``module``: as long as it is open, an event loop runs
    in this thread, in which neither a second Chromium nor ``asyncio.run`` can start.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "Chromium is missing. Install it with:  apt-get install -y chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-quic"]
        )
        yield browser
        browser.close()
